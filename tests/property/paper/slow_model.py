"""An account played again from its executions alone, the slow and obvious way.

It shares no code with the exchange and thinks in other terms: quantities carry their sign, and
what a deal costs, earns and leaves behind is worked out here from side, quantity, price and
rates. Amounts are booked to the eighth decimal and average prices to the tenth, both half up.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

NOTHING = Decimal(0)
TRADES = {"Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition"}
ENDS = {"Delivery", "Settle"}
OPTION_FEE_CAP = Decimal("0.07")
OPTION_EXPIRY_CAP = Decimal("0.125")
# Taker and maker.
RATES = {
    "linear": (Decimal("0.00055"), Decimal("0.0002")),
    "inverse": (Decimal("0.00055"), Decimal("0.0002")),
    "spot": (Decimal("0.001"), Decimal("0.001")),
    "option": (Decimal("0.0003"), Decimal("0.0002")),
}

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Deal:
    """What the account was told of one execution, and what the contract is."""

    kind: str
    category: str
    symbol: str
    idx: int
    base: str
    quote: str
    settle: str
    buys: bool
    qty: Decimal
    price: Decimal
    rate: Decimal
    index: Decimal
    maker: bool = False
    strike: Decimal = NOTHING
    is_call: bool = False


@dataclass
class Holding:
    """One position; `net` is negative for a short."""

    net: Decimal = NOTHING
    entry: Decimal = NOTHING
    counted_from: Decimal = NOTHING
    current: Decimal = NOTHING
    lifetime: Decimal = NOTHING
    opening_fees: Decimal = NOTHING


@dataclass
class Outcome:
    """What one deal did: the fee, the gross P&L, what it closed, and the P&L of the closing
    less its part of all fees."""

    fee: Decimal
    gross: Decimal = NOTHING
    closed: Decimal = NOTHING
    net: Decimal = NOTHING


@dataclass
class SlowAccount:
    """`coins` are wallet balances, `paid` the fees; funding is no fee, it changes hands."""

    coins: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    paid: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    holdings: defaultdict[Key, Holding] = field(default_factory=lambda: defaultdict(Holding))

    def play(self, deal: Deal) -> Outcome:
        rate = usual_rate(deal)
        assert rate in (None, deal.rate), deal
        if deal.category == "spot":
            return self._swap(deal)
        holding = self.holdings[deal.category, deal.symbol, deal.idx]
        if deal.kind == "Funding":
            return self._fund(deal, holding)
        if deal.kind == "SessionSettlePnL":
            return self._settle_session(deal, holding)
        assert deal.kind in TRADES | ENDS, deal.kind
        return self._trade(deal, holding)

    def _swap(self, deal: Deal) -> Outcome:
        """Spot: a buyer pays the fee in the coin bought, a seller in the coin got."""
        value = deal.qty * deal.price
        if deal.buys:
            fee = eighth(deal.qty * deal.rate)
            self.coins[deal.quote] -= value
            self.coins[deal.base] += deal.qty
            self._charge(deal.base, fee)
        else:
            fee = eighth(value * deal.rate)
            self.coins[deal.base] -= deal.qty
            self.coins[deal.quote] += value
            self._charge(deal.quote, fee)
        return Outcome(fee)

    def _fund(self, deal: Deal, holding: Holding) -> Outcome:
        """Longs pay a positive rate on the worth of the position; its size stays."""
        assert deal.qty == abs(holding.net)
        assert deal.buys == (holding.net > 0)
        fee = eighth(worth(deal) * deal.rate)
        if holding.net < 0:
            fee = -fee
        self.coins[deal.settle] -= fee
        holding.current -= fee
        holding.lifetime -= fee
        return Outcome(fee)

    def _settle_session(self, deal: Deal, holding: Holding) -> Outcome:
        """USDC contracts pay out what they earned since the last time; size and entry stay."""
        gross = eighth(earned(deal, holding.net, holding.counted_from))
        self.coins[deal.settle] += gross
        holding.current += gross
        holding.lifetime += gross
        holding.counted_from = deal.price
        return Outcome(NOTHING, gross, NOTHING, gross)

    def _trade(self, deal: Deal, holding: Holding) -> Outcome:
        signed = deal.qty if deal.buys else -deal.qty
        opposite = holding.net * signed < 0
        closed = min(deal.qty, abs(holding.net)) if opposite else NOTHING
        fee = fee_of(deal)
        fee_of_closing = eighth(fee * closed / deal.qty)
        part = closed if holding.net > 0 else -closed
        gross = eighth(earned(deal, part, holding.counted_from)) if closed else NOTHING
        self._charge(deal.settle, fee)
        if deal.category == "option":
            # The premium changes hands in full; the P&L is only told.
            self.coins[deal.settle] -= signed * deal.price
        else:
            self.coins[deal.settle] += gross
        net = NOTHING
        if closed:
            fee_of_opening = eighth(holding.opening_fees * closed / abs(holding.net))
            net = gross - fee_of_closing - fee_of_opening
            holding.opening_fees -= fee_of_opening
            self._book_closing(holding, part, gross - fee_of_closing)
        if deal.qty > closed:
            self._book_opening(deal, holding, signed + part, fee - fee_of_closing)
        return Outcome(fee, gross, closed, net)

    def _book_closing(self, holding: Holding, part: Decimal, net_gain: Decimal) -> None:
        holding.net -= part
        holding.current += net_gain
        holding.lifetime += net_gain
        if not holding.net:
            holding.entry = holding.counted_from = holding.opening_fees = NOTHING

    def _book_opening(self, deal: Deal, holding: Holding, more: Decimal, fee: Decimal) -> None:
        if not holding.net:
            holding.entry = holding.counted_from = deal.price
            holding.current = NOTHING
        else:
            holding.entry = blended(deal, holding.net, holding.entry, more)
            holding.counted_from = blended(deal, holding.net, holding.counted_from, more)
        holding.net += more
        holding.opening_fees += fee
        holding.current -= fee
        holding.lifetime -= fee

    def _charge(self, coin: str, fee: Decimal) -> None:
        self.coins[coin] -= fee
        self.paid[coin] += fee


def eighth(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.00000001"), ROUND_HALF_UP)


def tenth(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.0000000001"), ROUND_HALF_UP)


def worth(deal: Deal) -> Decimal:
    """In the settle coin; one inverse contract is one dollar."""
    return deal.qty / deal.price if deal.category == "inverse" else deal.qty * deal.price


def fee_of(deal: Deal) -> Decimal:
    if deal.category == "option":
        if deal.kind in ENDS:
            return _fee_of_expiry(deal)
        per_unit = min(deal.rate * deal.index, OPTION_FEE_CAP * deal.price)
        return eighth(per_unit * deal.qty)
    return eighth(worth(deal) * deal.rate)


def _fee_of_expiry(deal: Deal) -> Decimal:
    """Of the coin's price at expiry, at most an eighth of what the option paid; none for an
    option that ended worthless."""
    if not deal.price:
        return NOTHING
    at = deal.strike + deal.price if deal.is_call else deal.strike - deal.price
    return eighth(min(deal.rate * at, OPTION_EXPIRY_CAP * deal.price) * deal.qty)


def usual_rate(deal: Deal) -> Decimal | None:
    """The rate every account pays here; None where the contract sets its own."""
    if deal.kind in ("AdlTrade", "MovePosition"):
        return NOTHING
    if deal.kind not in ("Trade", "BustTrade"):
        return None
    taker, maker = RATES[deal.category]
    return maker if deal.maker else taker


def earned(deal: Deal, part: Decimal, since: Decimal) -> Decimal:
    """What `part` (signed) of a position made on the way from `since` to the deal's price."""
    if deal.category == "inverse":
        return part / since - part / deal.price
    return part * (deal.price - since)


def blended(deal: Deal, net: Decimal, price: Decimal, more: Decimal) -> Decimal:
    """The average price after `more` was added to `net`; inverse: the harmonic one."""
    total = net + more
    if deal.category == "inverse":
        return tenth(total / (net / price + more / deal.price))
    return tenth((net * price + more * deal.price) / total)
