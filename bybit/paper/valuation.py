"""What an account is worth at the marks: equity, margin in use, what is still available.

One unified account in cross margin: every coin counts, at its index price. USDT and USDC count
as one dollar.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from ..vocab import Side
from .books import Books
from .instruments import Instrument
from .model import ZERO, Order, Position, Uid, Wallet
from .netting import gross_pnl
from .prices import Market
from .quotes import Quote

MAINTENANCE_RATE = Decimal("0.005")
# Of an option sold, per unit and of the index: what is due at least, in and out of the money.
OPTION_MARGIN, OPTION_LEAST, OPTION_MAINTENANCE = Decimal("0.15"), Decimal("0.1"), Decimal("0.075")


@dataclass(frozen=True, slots=True)
class CoinValue:
    """One coin's row; all amounts in that coin but `usd_value`; `usd` is the coin's price.

    `unrealised` is of perps and futures, `option_value` what the options are worth, `locked`
    what open spot orders hold.
    """

    wallet: Wallet
    unrealised: Decimal
    order_margin: Decimal
    position_margin: Decimal
    maintenance: Decimal
    option_value: Decimal = ZERO
    locked: Decimal = ZERO
    usd: Decimal = Decimal(1)

    @property
    def equity(self) -> Decimal:
        return self.wallet.balance + self.unrealised + self.option_value

    @property
    def usd_value(self) -> Decimal:
        return self.equity * self.usd

    @property
    def free(self) -> Decimal:
        """What a spot order may still spend."""
        return self.wallet.balance - self.locked


@dataclass(frozen=True, slots=True)
class Valuation:
    """All coins of an account; the totals are in USD."""

    coins: tuple[CoinValue, ...]

    def coin(self, name: str) -> CoinValue | None:
        return next((c for c in self.coins if c.wallet.coin == name), None)

    @property
    def equity(self) -> Decimal:
        return sum((coin.usd_value for coin in self.coins), ZERO)

    @property
    def wallet_balance(self) -> Decimal:
        return sum((coin.wallet.balance * coin.usd for coin in self.coins), ZERO)

    @property
    def unrealised(self) -> Decimal:
        return sum((coin.unrealised * coin.usd for coin in self.coins), ZERO)

    @property
    def margin_balance(self) -> Decimal:
        """What stands good for margin: options do not."""
        return self.wallet_balance + self.unrealised

    @property
    def initial_margin(self) -> Decimal:
        return sum(((c.order_margin + c.position_margin) * c.usd for c in self.coins), ZERO)

    @property
    def maintenance(self) -> Decimal:
        return sum((coin.maintenance * coin.usd for coin in self.coins), ZERO)

    @property
    def available(self) -> Decimal:
        locked = sum((coin.locked * coin.usd for coin in self.coins), ZERO)
        return max(self.margin_balance - self.initial_margin - locked, ZERO)


@dataclass(slots=True)
class _Sums:
    """What adds up in one coin."""

    unrealised: Decimal = ZERO
    option_value: Decimal = ZERO
    order_margin: Decimal = ZERO
    position_margin: Decimal = ZERO
    maintenance: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True)
class _Ledger:
    sums: dict[str, _Sums] = field(default_factory=dict)

    def of(self, coin: str) -> _Sums:
        return self.sums.setdefault(coin, _Sums())


def unrealised(position: Position, mark: Decimal) -> Decimal:
    """In the settle coin, since the last settlement where there are such; 0 when flat."""
    if position.side is None:
        return ZERO
    return gross_pnl(position.category, position.side, position.size, position.basis, mark)


def position_margin(i: Instrument, position: Position, quote: Quote) -> Decimal:
    """The initial margin at the mark, in the settle coin."""
    if i.option is None:
        return i.value(position.size, quote.mark) / position.leverage
    if position.side is not Side.SELL:
        return ZERO
    return position.size * _sold(i, quote, OPTION_MARGIN, OPTION_LEAST)


def maintenance_margin(i: Instrument, position: Position, quote: Quote) -> Decimal:
    if i.option is None:
        return i.value(position.size, quote.mark) * MAINTENANCE_RATE
    if position.side is not Side.SELL:
        return ZERO
    return position.size * _sold(i, quote, OPTION_MAINTENANCE, OPTION_MAINTENANCE)


def order_margin(
    i: Instrument, qty: Decimal, price: Decimal, side: Side, leverage: Decimal, quote: Quote
) -> Decimal:
    """What opening this takes, in the settle coin; an option's buyer pays the premium."""
    if i.option is None:
        return i.value(qty, price) / leverage
    if side is Side.BUY:
        return qty * price
    return qty * _sold(i, quote, OPTION_MARGIN, OPTION_LEAST)


def _sold(i: Instrument, quote: Quote, rate: Decimal, least: Decimal) -> Decimal:
    """Margin of one unit sold: the mark, and a part of the index less what it is out of the
    money by."""
    if i.option is None:
        raise AssertionError(f"{i.symbol} is not an option")
    gain = i.option.payoff(quote.index)
    away = abs(quote.index - i.option.strike) if gain == 0 else ZERO
    return max(rate * quote.index - away, least * quote.index) + quote.mark


def value_account(books: Books, market: Market, uid: Uid) -> Valuation:
    """Values every coin the account ever held, or has a position in."""
    ledger = _Ledger()
    for position in books.held(uid):
        quote = market.quote(position.category, position.symbol)
        _add_position(ledger.of(quote.instrument.settle), position, quote)
    for order in books.open_of(uid):
        _add_order(ledger, books, order, market.quote(order.category, order.symbol))
    wallets = {wallet.coin: wallet for wallet in books.coins(uid)}
    names = sorted({*wallets, *ledger.sums}, key=lambda coin: (coin not in wallets, coin))
    return Valuation(
        tuple(
            CoinValue(
                wallet=wallets.get(coin) or Wallet(uid, coin, ZERO),
                unrealised=(sums := ledger.of(coin)).unrealised,
                order_margin=sums.order_margin,
                position_margin=sums.position_margin,
                maintenance=sums.maintenance,
                option_value=sums.option_value,
                locked=sums.locked,
                usd=market.usd(coin),
            )
            for coin in names
        )
    )


def _add_position(sums: _Sums, position: Position, quote: Quote) -> None:
    i = quote.instrument
    if i.option is None:
        sums.unrealised += unrealised(position, quote.mark)
    else:
        sums.option_value += position.signed * quote.mark
    sums.position_margin += position_margin(i, position, quote)
    sums.maintenance += maintenance_margin(i, position, quote)


def _add_order(ledger: _Ledger, books: Books, order: Order, quote: Quote) -> None:
    i = quote.instrument
    if i.is_spot:
        if order.side is Side.BUY:
            ledger.of(i.quote).locked += order.leaves_value
        else:
            ledger.of(i.base).locked += (
                order.leaves if not order.by_quote else (order.leaves_value / quote.last)
            )
        return
    if order.reduce_only:
        return
    held = books.position(order.uid, order.category, order.symbol, order.idx)
    opposite = held.side is not None and held.side is not order.side
    grows = max(order.leaves - held.size, ZERO) if opposite else order.leaves
    price = order.price or quote.mark
    need = order_margin(i, grows, price, order.side, held.leverage, quote)
    ledger.of(i.settle).order_margin += need


def liquidation_price(valuation: Valuation, position: Position, quote: Quote) -> Decimal | None:
    """The mark at which the account could not hold its margin, all else standing still: an
    estimate, as in cross margin it always is. None when flat, or too far away to say."""
    i = quote.instrument
    if position.side is None or i.option is not None:
        return None
    coin = valuation.coin(i.settle)
    spare = valuation.margin_balance - valuation.maintenance
    if coin is None or coin.usd <= 0:
        return None
    sign = 1 if position.side is Side.BUY else -1
    if i.is_inverse:
        # s·size·(1/mark − 1/liq) = −spare in coin
        inverse = 1 / quote.mark + sign * spare / coin.usd / position.size
        price = 1 / inverse if inverse > 0 else ZERO
    else:
        price = quote.mark - sign * spare / coin.usd / position.size
    if not quote.mark / 20 < price < quote.mark * 20:
        return None
    return (price / i.tick).to_integral_value() * i.tick
