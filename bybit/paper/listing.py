"""What is listed: the rows of instruments.json, and the dated contracts the calendar adds.

To list more, add a row to the table; `columns` names what each row holds in order. `like`
names the USDT perpetual whose coin, price and liquidity a row shares.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files

import orjson

from ..vocab import Category, ContractType, InstrumentStatus, OptionsType
from .expiries import (
    DAY_MS,
    date_name,
    date_of,
    expiries_after,
    quarter_name,
    quarter_of,
    to_ms,
)
from .instruments import Instrument, Key, OptionTerms
from .refusals import symbol_invalid

LISTED_MS = 1_760_000_000_000  # the moment a listing without a clock is made for
STRIKES = range(-4, 5)
SPOT_FEE = Decimal("0.001")
OPTION_TAKER_FEE, OPTION_MAKER_FEE = Decimal("0.0003"), Decimal("0.0002")
NEVER = Decimal(0)

Row = Mapping[str, str]


@cache
def table() -> Mapping[str, tuple[Row, ...]]:
    """Sections of instruments.json, each row by its columns."""
    raw = orjson.loads(files(__package__).joinpath("instruments.json").read_bytes())
    return {
        name: tuple(dict(zip(part["columns"], row, strict=True)) for row in part["rows"])
        for name, part in raw.items()
    }


class Listing:
    """All instruments by (category, symbol); the same symbol may stand in two categories."""

    def __init__(self, instruments: Iterable[Instrument], made_ms: int = LISTED_MS) -> None:
        self.made_ms = made_ms
        self._by_key = {i.key: i for i in instruments}

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

    def roll(self, now_ms: int) -> list[Instrument]:
        """Lists the dated contracts that are new at this time."""
        new = [i for i in dated(now_ms) if i.key not in self._by_key]
        self._by_key.update({i.key: i for i in new})
        return new

    def end(self, key: Key) -> Instrument:
        """Closes a contract for good; it stays known, for what refers to it."""
        ended = replace(self._by_key[key], status=InstrumentStatus.CLOSED)
        self._by_key[key] = ended
        return ended

    def revive(self, category: Category, symbol: str) -> Instrument | None:
        """A dated contract of earlier days, closed; None where the name is none of ours."""
        made = dated_by_name(category, symbol)
        if made is not None and made.key not in self._by_key:
            self._by_key[made.key] = replace(made, status=InstrumentStatus.CLOSED)
        return self._by_key.get((category, symbol))


@cache
def _standing() -> tuple[Instrument, ...]:
    rows = table()
    return (
        *(_usdt_perpetual(row, n) for n, row in enumerate(rows["linear_usdt_perpetuals"])),
        *(_usdc_perpetual(row, n) for n, row in enumerate(rows["linear_usdc_perpetuals"])),
        *(_inverse_perpetual(row, n) for n, row in enumerate(rows["inverse_perpetuals"])),
        *(_spot(row, n) for n, row in enumerate(rows["spot"])),
    )


def default_listing(now_ms: int = LISTED_MS) -> Listing:
    """A listing of its own: the whole table, with the dated contracts of this time."""
    return Listing([*_standing(), *dated(now_ms)], now_ms)


def dated(now_ms: int) -> Iterator[Instrument]:
    """Futures and options listed at this time."""
    calendar = expiries_after(now_ms)
    for row in table()["linear_futures"]:
        for day in calendar.of_futures:
            yield _future(row, day)
    for row in table()["inverse_perpetuals"]:
        for day in calendar.quarterly if row["dated"] == "yes" else ():
            yield _inverse_future(row, day)
    for row in table()["options"]:
        for day in calendar.of_options:
            yield from (
                _option(row, day, strike, kind) for strike in _strikes(row) for kind in OptionsType
            )


def dated_by_name(category: Category, symbol: str) -> Instrument | None:
    """The contract behind a well-formed symbol, whether or not it is listed now."""
    match category:
        case Category.OPTION:
            return _option_by_name(symbol)
        case Category.INVERSE:
            for row in table()["inverse_perpetuals"]:
                day = quarter_of(symbol.removeprefix(f"{row['base']}USD"))
                if day and _inverse_future(row, day).symbol == symbol:
                    return _inverse_future(row, day)
        case Category.LINEAR:
            day = date_of(symbol.rpartition("-")[2])
            for row in table()["linear_futures"] if day else ():
                if day and _future(row, day).symbol == symbol:
                    return _future(row, day)
        case Category.SPOT:
            pass
    return None


def _option_by_name(symbol: str) -> Instrument | None:
    parts = symbol.split("-")
    day = date_of(parts[1]) if len(parts) in (4, 5) else None
    if day is None or not parts[2].isdecimal():
        return None
    for row in table()["options"]:
        for kind in OptionsType:
            made = _option(row, day, Decimal(parts[2]), kind)
            if made.symbol == symbol:
                return made
    return None


@cache
def _by_symbol() -> Mapping[str, Instrument]:
    rows = table()["linear_usdt_perpetuals"]
    return {row["symbol"]: _usdt_perpetual(row, n) for n, row in enumerate(rows)}


def _usdt_perpetual(row: Row, n: int) -> Instrument:
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
        launch_ms=1_585_526_400_000 + n * DAY_MS,
    )


def _usdc_perpetual(row: Row, n: int) -> Instrument:
    like = _by_symbol()[row["like"]]
    return replace(
        like,
        symbol=f"{row['base']}PERP",
        symbol_id=2000 + n,
        quote="USDC",
        settle="USDC",
        max_leverage=Decimal(row["leverage"]),
        depth=like.depth / 4,
        launch_ms=1_660_000_000_000 + n * DAY_MS,
    )


def _inverse_perpetual(row: Row, n: int) -> Instrument:
    like = _by_symbol()[row["like"]]
    tick = Decimal(row["tick"])
    return replace(
        like,
        symbol=f"{row['base']}USD",
        symbol_id=3000 + n,
        category=Category.INVERSE,
        contract_type=ContractType.INVERSE_PERPETUAL,
        quote="USD",
        settle=row["base"],
        price=like.price.quantize(tick),
        tick=tick,
        step=Decimal(1),
        min_qty=Decimal(1),
        max_market_qty=Decimal(row["max_market"]),
        max_order_qty=Decimal(row["max_order"]),
        # In dollars, like the quantity; the venue shows none.
        min_notional=Decimal(1),
        max_leverage=Decimal(row["leverage"]),
        funding_minutes=int(row["funding"]),
        depth=like.depth / 3,
        launch_ms=1_542_211_200_000 + n * DAY_MS,
    )


def _spot(row: Row, n: int) -> Instrument:
    like = _by_symbol()[row["like"]]
    tick, step = Decimal(row["tick"]), Decimal(row["base_precision"])
    over = _by_symbol()["BTCUSDT"].price if row["quote"] == "BTC" else Decimal(1)
    return replace(
        like,
        symbol=f"{row['base']}{row['quote']}",
        symbol_id=n + 9,
        category=Category.SPOT,
        contract_type=None,
        quote=row["quote"],
        settle=row["quote"],
        price=(like.price / over).quantize(tick),
        tick=tick,
        price_scale=-int(tick.as_tuple().exponent),
        step=step,
        min_qty=step,
        max_market_qty=Decimal(row["max_market"]),
        max_order_qty=Decimal(row["max_limit"]),
        min_notional=Decimal(5) if over == 1 else Decimal("0.00005"),
        max_leverage=Decimal(1),
        funding_minutes=0,
        depth=like.depth / 4 / float(over),
        taker_fee=SPOT_FEE,
        maker_fee=SPOT_FEE,
        quote_step=Decimal(row["quote_precision"]),
        max_amount=Decimal(row["max_amount"]),
    )


def _future(row: Row, day: datetime) -> Instrument:
    """`BTCUSDT-26DEC25` settles in USDT, `BTC-26DEC25` in USDC."""
    like, dollar = _by_symbol()[row["like"]], row["settle"]
    root = f"{row['base']}USDT" if dollar == "USDT" else row["base"]
    return replace(
        _expiring(like, f"{root}-{date_name(day)}", day),
        contract_type=ContractType.LINEAR_FUTURES,
        quote=dollar,
        settle=dollar,
        max_leverage=Decimal(50),
        depth=like.depth / 10,
    )


def _inverse_future(row: Row, day: datetime) -> Instrument:
    like = _inverse_perpetual(row, 0)
    return replace(
        _expiring(like, f"{row['base']}USD{quarter_name(day)}", day),
        contract_type=ContractType.INVERSE_FUTURES,
        depth=like.depth / 5,
    )


def _expiring(like: Instrument, symbol: str, day: datetime) -> Instrument:
    return replace(
        like,
        symbol=symbol,
        symbol_id=zlib.crc32(symbol.encode()) % 900_000 + 100_000,
        funding_minutes=0,
        delivery_ms=to_ms(day),
        delivery_fee=Decimal("0.0005"),
        launch_ms=to_ms(day) - 120 * DAY_MS,
    )


def _strikes(row: Row) -> list[Decimal]:
    step, price = Decimal(row["strike_step"]), _by_symbol()[row["like"]].price
    middle = (price / step).to_integral_value() * step
    return [middle + n * step for n in STRIKES]


def _option(row: Row, day: datetime, strike: Decimal, kind: OptionsType) -> Instrument:
    """`BTC-26DEC25-100000-C` settles in USDC, the same with `-USDT` in USDT."""
    like, tick = _by_symbol()[row["like"]], Decimal(row["tick"])
    tail = "-USDT" if row["settle"] == "USDT" else ""
    symbol = f"{row['base']}-{date_name(day)}-{strike}-{kind[0]}{tail}"
    return replace(
        _expiring(like, symbol, day),
        category=Category.OPTION,
        contract_type=None,
        quote=row["settle"],
        settle=row["settle"],
        price=tick,
        tick=tick,
        price_scale=8,
        step=Decimal(row["step"]),
        min_qty=Decimal(row["step"]),
        max_market_qty=Decimal(row["max_order"]),
        max_order_qty=Decimal(row["max_order"]),
        min_notional=NEVER,
        max_leverage=Decimal(1),
        band_x=Decimal("0.3"),
        band_y=Decimal("0.6"),
        depth=like.depth / 40,
        delivery_fee=Decimal("0.00015"),
        launch_ms=to_ms(day) - 60 * DAY_MS,
        taker_fee=OPTION_TAKER_FEE,
        maker_fee=OPTION_MAKER_FEE,
        option=OptionTerms(kind, strike, like.price),
    )
