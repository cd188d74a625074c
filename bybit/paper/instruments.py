"""Which contracts are listed and by what filters; the rows stand in instruments.json."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import cache
from importlib.resources import files

import orjson

from ..vocab import Category, ContractType, InstrumentStatus
from .refusals import symbol_invalid

TAKER_FEE = Decimal("0.00055")
MAKER_FEE = Decimal("0.0002")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract. `volatility` is yearly, `beta` its share of the common market move,
    `depth` the value in quote coin that rests on one side inside the price band."""

    symbol: str
    symbol_id: int
    category: Category
    contract_type: ContractType
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

    def floor_qty(self, qty: Decimal) -> Decimal:
        return (qty / self.step).to_integral_value(ROUND_DOWN) * self.step

    def is_on_step(self, qty: Decimal) -> bool:
        return qty % self.step == 0

    def is_on_tick(self, price: Decimal) -> bool:
        return price % self.tick == 0

    def band(self, mark: Decimal) -> tuple[Decimal, Decimal]:
        """Lowest sell and highest buy price of a market order: mark·(1±X), on the tick."""
        low = (mark * (1 - self.band_x) / self.tick).to_integral_value(ROUND_DOWN) + 1
        high = (mark * (1 + self.band_x) / self.tick).to_integral_value(ROUND_DOWN)
        return low * self.tick, high * self.tick


Key = tuple[Category, str]


class Listing:
    """All listed contracts by (category, symbol); the same symbol may stand in two categories."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self._by_key = {(i.category, i.symbol): i for i in instruments}

    def get(self, category: Category, symbol: str) -> Instrument:
        """Refuses an unknown symbol with 10001, as every endpoint does."""
        instrument = self._by_key.get((category, symbol))
        if instrument is None:
            raise symbol_invalid()
        return instrument

    def has(self, category: Category, symbol: str) -> bool:
        return (category, symbol) in self._by_key

    def of(self, category: Category) -> list[Instrument]:
        return [i for i in self._by_key.values() if i.category is category]

    def all(self) -> list[Instrument]:
        return list(self._by_key.values())


@cache
def default_listing() -> Listing:
    """The contracts of instruments.json; `columns` names what each row holds in order."""
    table = orjson.loads(files(__package__).joinpath("instruments.json").read_bytes())
    columns = table["linear_usdt_perpetuals"]["columns"]
    rows = table["linear_usdt_perpetuals"]["rows"]
    return Listing(
        [_usdt_perpetual(dict(zip(columns, row, strict=True)), n) for n, row in enumerate(rows)]
    )


def _usdt_perpetual(row: dict[str, str], n: int) -> Instrument:
    tick = Decimal(row["tick"])
    return Instrument(
        symbol=row["symbol"],
        symbol_id=n + 5,
        category=Category.LINEAR,
        contract_type=ContractType.LINEAR_PERPETUAL,
        base=row["base"],
        quote="USDT",
        settle="USDT",
        price=Decimal(row["price"]).quantize(tick),
        tick=tick,
        price_scale=int(row["scale"]),
        step=Decimal(row["step"]),
        min_qty=Decimal(row["min"]),
        max_market_qty=Decimal(row["max_market"]),
        max_order_qty=Decimal(row["max_order"]),
        min_notional=Decimal(5),
        max_leverage=Decimal(row["leverage"]),
        band_x=Decimal(row["x"]),
        band_y=Decimal(row["x"]) * 2,
        funding_minutes=int(row["funding"]),
        funding_cap=Decimal("0.005"),
        volatility=float(row["volatility"]),
        beta=float(row["beta"]),
        depth=float(row["depth"]),
        launch_ms=1_585_526_400_000 + n * 86_400_000,
    )
