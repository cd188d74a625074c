"""A seeded stand-in for Bybit's linear tickers, and a book of positions to value by them.

The frames are composed from the documented field names, not recorded: 500 symbols, one in a
hundred a full snapshot and the others sparse deltas, 63 % of them with a mark price, 240 bytes on
average, BTC and ETH making 30 % of the traffic and of the legs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate
from uuid import UUID

import orjson
from positiond.daemon.domain.model import (
    AccountId,
    Category,
    Component,
    ComponentId,
    Environment,
    Instrument,
    InstrumentKey,
    Position,
    PositionId,
    PositionStatus,
    Side,
    UserId,
)

_START_MS = 1_760_000_000_000
_SNAPSHOTS = 0.01
_MARKS = 0.63
# How many fields besides the mark a delta carries, and how often: mostly a quote, now and then
# the day's statistics too.
_FIELD_COUNTS = {1: 4, 2: 20, 3: 18, 4: 26, 5: 10, 6: 9, 8: 6, 10: 4, 12: 3}
_BTC_SHARE, _ETH_SHARE = 0.18, 0.12


@dataclass(slots=True)
class _Coin:
    """One symbol's walk; prices have the symbol's own number of digits."""

    symbol: str
    price: float
    digits: int
    seq: int

    def near(self, rng: random.Random, spread: float = 0.0002) -> str:
        return f"{self.price * (1 + rng.uniform(-spread, spread)):.{self.digits}f}"


_FIELDS: dict[str, Callable[[_Coin, random.Random], str]] = {
    "bid1Price": lambda coin, rng: coin.near(rng),
    "bid1Size": lambda coin, rng: f"{rng.uniform(0.1, 900):.3f}",
    "ask1Price": lambda coin, rng: coin.near(rng),
    "ask1Size": lambda coin, rng: f"{rng.uniform(0.1, 900):.3f}",
    "lastPrice": lambda coin, rng: coin.near(rng),
    "indexPrice": lambda coin, rng: coin.near(rng),
    "openInterest": lambda coin, rng: f"{rng.uniform(1e4, 9e6):.1f}",
    "openInterestValue": lambda coin, rng: f"{rng.uniform(1e6, 9e8):.2f}",
    "turnover24h": lambda coin, rng: f"{rng.uniform(1e6, 9e8):.4f}",
    "volume24h": lambda coin, rng: f"{rng.uniform(1e4, 9e6):.4f}",
    "price24hPcnt": lambda coin, rng: f"{rng.uniform(-0.09, 0.09):.6f}",
    "tickDirection": lambda coin, rng: rng.choice(("PlusTick", "ZeroMinusTick")),
    "fundingRate": lambda coin, rng: f"{rng.uniform(-0.0005, 0.0005):.8f}",
}
_STEADY: dict[str, Callable[[_Coin, random.Random], str]] = {
    "prevPrice24h": lambda coin, rng: coin.near(rng, 0.05),
    "highPrice24h": lambda coin, rng: coin.near(rng, 0.05),
    "lowPrice24h": lambda coin, rng: coin.near(rng, 0.05),
    "prevPrice1h": lambda coin, rng: coin.near(rng, 0.01),
    "nextFundingTime": lambda coin, rng: "1760025600000",
    "fundingIntervalHour": lambda coin, rng: "8",
    "fundingCap": lambda coin, rng: "0.005",
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """`frames` begins with one snapshot of every symbol; `positions` hold those symbols."""

    symbols: tuple[str, ...]
    frames: tuple[str, ...]
    positions: tuple[Position, ...]

    @property
    def instruments(self) -> list[Instrument]:
        return [_instrument(symbol) for symbol in self.symbols]

    @property
    def mean_bytes(self) -> float:
        return sum(map(len, self.frames)) / len(self.frames)


def make_corpus(
    *, symbols: int = 500, positions: int = 1000, deltas: int = 4000, seed: int = 7
) -> Corpus:
    """The same corpus for the same arguments, always."""
    rng = random.Random(seed)
    names = ["BTCUSDT", "ETHUSDT", *(f"COIN{number}USDT" for number in range(2, symbols))]
    coins = [_coin(name, rng) for name in names]
    weights = list(accumulate(_weights(symbols)))
    frames = [_frame(coin, rng, _START_MS, is_snapshot=True) for coin in coins]
    for number in range(deltas):
        (coin,) = rng.choices(coins, cum_weights=weights)
        is_snapshot = rng.random() < _SNAPSHOTS
        frames.append(_frame(coin, rng, _START_MS + number, is_snapshot=is_snapshot))
    held = tuple(_position(coins, weights, rng) for _ in range(positions))
    return Corpus(tuple(names), tuple(frames), held)


def _weights(symbols: int) -> Sequence[float]:
    rest = (1 - _BTC_SHARE - _ETH_SHARE) / (symbols - 2)
    return [_BTC_SHARE, _ETH_SHARE, *[rest] * (symbols - 2)]


def _coin(name: str, rng: random.Random) -> _Coin:
    price = {"BTCUSDT": 101_250.0, "ETHUSDT": 3_890.0}.get(name) or 10 ** rng.uniform(-3, 3)
    digits = 2 if price > 1000 else 4 if price > 1 else 6
    return _Coin(name, price, digits, rng.randrange(10**9, 10**10))


def _frame(coin: _Coin, rng: random.Random, at_ms: int, *, is_snapshot: bool) -> str:
    coin.price *= 1 + rng.gauss(0, 0.0003)
    coin.seq += rng.randint(1, 400)
    data = {"symbol": coin.symbol}
    if is_snapshot:
        names = [*_FIELDS, *_STEADY]
    else:
        counts, weights = list(_FIELD_COUNTS), list(_FIELD_COUNTS.values())
        (count,) = rng.choices(counts, weights)
        names = rng.sample(list(_FIELDS), count)
    if is_snapshot or rng.random() < _MARKS:
        data["markPrice"] = coin.near(rng)
    for name in names:
        data[name] = (_FIELDS.get(name) or _STEADY[name])(coin, rng)
    kind = "snapshot" if is_snapshot else "delta"
    frame = {"topic": f"tickers.{coin.symbol}", "type": kind, "data": data}
    return orjson.dumps({**frame, "cs": coin.seq, "ts": at_ms}).decode()


def _position(coins: Sequence[_Coin], weights: Sequence[float], rng: random.Random) -> Position:
    wanted = rng.randint(2, 4)
    held: dict[str, _Coin] = {}
    while len(held) < wanted:
        (coin,) = rng.choices(coins, cum_weights=weights)
        held[coin.symbol] = coin
    position_id = PositionId(_uuid(rng))
    return Position(
        id=position_id,
        account_id=AccountId(UUID(int=1)),
        user_id=UserId(UUID(int=2)),
        environment=Environment.PAPER,
        name="a basket",
        external_id=None,
        note="",
        tags=(),
        status=PositionStatus.ACTIVE,
        is_altered=False,
        opened_at=datetime(2026, 3, 1, tzinfo=UTC),
        closed_at=None,
        verified_at=None,
        unrealized_pnl=None,
        pnl_at=None,
        booked=(),
        components=tuple(_component(position_id, coin, rng) for coin in held.values()),
    )


def _component(position_id: PositionId, coin: _Coin, rng: random.Random) -> Component:
    return Component(
        ComponentId(_uuid(rng)),
        position_id,
        Category.LINEAR,
        coin.symbol,
        rng.choice((Side.BUY, Side.SELL)),
        Decimal(f"{rng.uniform(0.001, 500):.3f}"),
        Decimal(0),
        Decimal(coin.near(rng, 0.03)),
    )


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _instrument(symbol: str) -> Instrument:
    step = Decimal("0.001")
    return Instrument(
        key=InstrumentKey(Environment.PAPER, Category.LINEAR, symbol),
        base_coin=symbol.removesuffix("USDT"),
        quote_coin="USDT",
        settle_coin="USDT",
        status="Trading",
        tick_size=Decimal("0.000001"),
        quantity_step=step,
        min_quantity=step,
        max_market_quantity=Decimal(1_000_000),
        min_notional=Decimal(5),
    )
