"""Contracts and spot pairs: their filters, and the arithmetic that goes with their kind."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from ..vocab import Category, ContractType, InstrumentStatus, OptionsType

# The rates of linear and inverse contracts; every instrument carries its own.
TAKER_FEE = Decimal("0.00055")
MAKER_FEE = Decimal("0.0002")

OPTION_FEE_CAP = Decimal("0.07")
DELIVERY_FEE_CAP = Decimal("0.125")
# An option whose price is a few ticks would else have no band at all.
OPTION_BAND_TICKS = 20


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """What an option gives the right to; `root_price` is its coin's price in the table."""

    kind: OptionsType
    strike: Decimal
    root_price: Decimal

    def payoff(self, price: Decimal) -> Decimal:
        """Value at expiry, for one unit of the base coin."""
        gain = price - self.strike if self.kind is OptionsType.CALL else self.strike - price
        return max(gain, Decimal(0))


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract or spot pair.

    `volatility` is yearly, `beta` its share of the common market move, `depth` the value in
    quote coin that rests on one side inside the price band. `step` is a spot pair's
    basePrecision, `quote_step` its quotePrecision. `delivery_ms` is 0 where nothing expires,
    `funding_minutes` 0 where nothing is funded.
    """

    symbol: str
    symbol_id: int
    category: Category
    contract_type: ContractType | None
    base: str
    quote: str
    settle: str
    price: Decimal
    tick: Decimal
    price_scale: int
    step: Decimal
    min_qty: Decimal
    max_market_qty: Decimal
    max_order_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal
    band_x: Decimal
    band_y: Decimal
    funding_minutes: int
    funding_cap: Decimal
    volatility: float
    beta: float
    depth: float
    launch_ms: int
    status: InstrumentStatus = InstrumentStatus.TRADING
    taker_fee: Decimal = TAKER_FEE
    maker_fee: Decimal = MAKER_FEE
    delivery_ms: int = 0
    delivery_fee: Decimal = Decimal(0)
    option: OptionTerms | None = None
    quote_step: Decimal = Decimal(0)
    max_amount: Decimal = Decimal(0)

    @property
    def key(self) -> "Key":
        return self.category, self.symbol

    @property
    def is_inverse(self) -> bool:
        return self.category is Category.INVERSE

    @property
    def is_spot(self) -> bool:
        return self.category is Category.SPOT

    @property
    def is_trading(self) -> bool:
        return self.status is InstrumentStatus.TRADING

    @property
    def can_hedge(self) -> bool:
        """Hedge mode exists for USDT perpetuals alone (Bybit V5: position/switch-mode)."""
        return self.contract_type is ContractType.LINEAR_PERPETUAL and self.settle == "USDT"

    @property
    def settles_by_session(self) -> bool:
        """USDC perpetuals and futures move their P&L to the wallet periodically."""
        return self.category is Category.LINEAR and self.settle == "USDC"

    def floor_qty(self, qty: Decimal) -> Decimal:
        return (qty / self.step).to_integral_value(ROUND_DOWN) * self.step

    def is_on_step(self, qty: Decimal) -> bool:
        return qty % self.step == 0

    def is_on_tick(self, price: Decimal) -> bool:
        return price % self.tick == 0

    def value(self, qty: Decimal, price: Decimal) -> Decimal:
        """What `qty` is worth at a price, in the settle coin (spot: quote coin); an inverse
        contract is one dollar, so its worth is in coin."""
        return qty / price if self.is_inverse else qty * price

    def depth_at(self, price: Decimal) -> float:
        """`depth` in units of quantity; options by their coin's price."""
        if self.is_inverse:
            return self.depth
        return self.depth / float(self.option.root_price if self.option else price)

    def fee(self, qty: Decimal, price: Decimal, index: Decimal, rate: Decimal) -> Decimal:
        """In the settle coin; an option's is rate × index, at most 7 % of its price."""
        if self.option is None:
            return self.value(qty, price) * rate
        return min(rate * index, OPTION_FEE_CAP * price) * qty

    def delivery_cost(self, qty: Decimal, price: Decimal) -> Decimal:
        """The fee of a delivery at this price; options: none out of the money, at most 12.5 %
        of the value (Bybit V5: the help centre's option fees)."""
        cost = self.value(qty, price) * self.delivery_fee
        if self.option is None:
            return cost
        return min(cost, DELIVERY_FEE_CAP * self.option.payoff(price) * qty)

    def band(self, mark: Decimal) -> tuple[Decimal, Decimal]:
        """Lowest sell and highest buy price of a market order: mark·(1±X), on the tick."""
        away = mark * self.band_x
        if self.option is not None:
            away = max(away, OPTION_BAND_TICKS * self.tick)
        low = ((mark - away) / self.tick).to_integral_value(ROUND_DOWN) + 1
        high = ((mark + away) / self.tick).to_integral_value(ROUND_DOWN)
        return max(low, Decimal(1)) * self.tick, high * self.tick

    def limits(self, mark: Decimal) -> tuple[Decimal, Decimal]:
        """Lowest sell and highest buy price of a limit order: mark·(1±Y)."""
        if self.option is None:
            return mark * (1 - self.band_y), mark * (1 + self.band_y)
        away = max(mark * self.band_y, 2 * OPTION_BAND_TICKS * self.tick)
        return mark - away, mark + away


Key = tuple[Category, str]
