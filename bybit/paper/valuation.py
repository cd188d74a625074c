"""What an account is worth at the marks: equity, margin in use, what is still available."""

from dataclasses import dataclass
from decimal import Decimal

from .books import Books
from .model import ZERO, Position, Uid, Wallet
from .netting import linear_pnl
from .prices import Market

MAINTENANCE_RATE = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class CoinValue:
    """One coin's row; all amounts in that coin but `usd_value`."""

    wallet: Wallet
    unrealised: Decimal
    order_margin: Decimal
    position_margin: Decimal
    maintenance: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet.balance + self.unrealised

    @property
    def usd_value(self) -> Decimal:
        # USDT and USDC count as one dollar; no other coin settles here yet.
        return self.equity


@dataclass(frozen=True, slots=True)
class Valuation:
    """All coins of an account; the totals are in USD."""

    coins: tuple[CoinValue, ...]

    @property
    def equity(self) -> Decimal:
        return sum((coin.usd_value for coin in self.coins), ZERO)

    @property
    def wallet_balance(self) -> Decimal:
        return sum((coin.wallet.balance for coin in self.coins), ZERO)

    @property
    def unrealised(self) -> Decimal:
        return sum((coin.unrealised for coin in self.coins), ZERO)

    @property
    def initial_margin(self) -> Decimal:
        return sum((c.order_margin + c.position_margin for c in self.coins), ZERO)

    @property
    def maintenance(self) -> Decimal:
        return sum((coin.maintenance for coin in self.coins), ZERO)

    @property
    def available(self) -> Decimal:
        return max(self.equity - self.initial_margin, ZERO)


def unrealised(position: Position, mark: Decimal) -> Decimal:
    """s·q·(mark − entry), in the settle coin; 0 when flat."""
    if position.side is None:
        return ZERO
    return linear_pnl(position.side, position.size, position.avg_price, mark)


def value_account(books: Books, market: Market, uid: Uid) -> Valuation:
    """Values every coin the account ever held."""
    return Valuation(tuple(_value_coin(books, market, w) for w in books.coins(uid)))


def _value_coin(books: Books, market: Market, wallet: Wallet) -> CoinValue:
    upl = position_margin = maintenance = order_margin = ZERO
    for p in books.positions.values():
        if p.uid != wallet.uid or p.side is None or _settle(market, p) != wallet.coin:
            continue
        mark = market.quote(p.category, p.symbol).mark
        upl += unrealised(p, mark)
        position_margin += p.size * mark / p.leverage
        maintenance += p.size * mark * MAINTENANCE_RATE
    for order in books.open_orders.values():
        if order.uid != wallet.uid or order.reduce_only or not order.matched:
            continue
        if market.listing.get(order.category, order.symbol).settle == wallet.coin:
            held = books.position(order.uid, order.category, order.symbol, order.idx)
            order_margin += order.leaves * order.price / held.leverage
    return CoinValue(wallet, upl, order_margin, position_margin, maintenance)


def _settle(market: Market, position: Position) -> str:
    return market.listing.get(position.category, position.symbol).settle
