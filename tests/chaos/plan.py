"""What will be tried on the daemon, as a pure function of a seed.

The plan alone is: when which process gets the processor is not. The same seed asks the same of
the same positions with the same faults and kills, and the interleaving differs a little.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.chaos.markets import FRACTIONS_OFFERED, MARKETS, OFFERED, Contract, Market
from tests.chaos.troubles import (
    ACCOUNT_TROUBLES,
    COMPOUND_TROUBLES,
    VENUE_TROUBLES,
    Palette,
    Trouble,
)

# Seconds within which everything is asked and everything goes wrong.
ACTS_WITHIN = 12.0
_KILLS_WITHIN = 7.0
_LEG_UNITS = 12
_SIDES = ("Buy", "Sell")


@dataclass(frozen=True, slots=True)
class Holding:
    """A quantity of a contract, to be held or to be traded."""

    market: str
    symbol: str
    side: str
    quantity: Decimal

    @property
    def signed(self) -> Decimal:
        return self.quantity if self.side == "Buy" else -self.quantity


@dataclass(frozen=True, slots=True)
class Terms:
    """What is said with a close; `by_plan`: as its preview shows it, or not at all."""

    fraction: str | None = None
    slippage: str | None = None
    cancel_resting: bool = False
    by_plan: bool = False


PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Ask:
    """A client asks for a close of the positions with these numbers, of several together; it may
    change its mind."""

    at: float
    positions: tuple[int, ...]
    client: int
    key: str | None
    cancel_after: float | None = None
    terms: Terms = PLAIN


@dataclass(frozen=True, slots=True)
class HandTrade:
    """The trader trades; `idx` names the position of a hedged account."""

    at: float
    what: Holding
    idx: int


@dataclass(frozen=True, slots=True)
class Rest:
    """A reduce-only limit order of the trader's, too far from the price to fill."""

    at: float
    what: Holding
    idx: int


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 so long after the daemon answers; `on_order`: with the next order to arrive."""

    after: float
    on_order: bool


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One account: what it holds, who asks for what, and what goes wrong. Times in seconds.

    `ends_together`: what is left when nothing goes wrong any more is closed as one set.
    """

    number: int
    market: str
    hedged: bool
    own: tuple[Holding, ...]
    positions: tuple[tuple[Holding, ...], ...]
    asks: tuple[Ask, ...]
    trades: tuple[HandTrade, ...]
    troubles: tuple[Trouble, ...]
    cuts: tuple[float, ...]
    rests: tuple[Rest, ...] = ()
    ends_together: bool = False

    def idx(self, side: str) -> int:
        """The venue's index of the bucket that a leg of this side sits in."""
        return (1 if side == "Buy" else 2) if self.hedged else 0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Runs that share one daemon and one exchange."""

    seed: int
    link_rule: str
    kills: tuple[Kill, ...]
    troubles: tuple[Trouble, ...]
    runs: tuple[RunPlan, ...]


def plan_batch(
    seed: int, runs: int, markets: Sequence[str] = OFFERED, *, fractions: bool = FRACTIONS_OFFERED
) -> BatchPlan:
    """A run is the same in a batch of any size."""
    rng = random.Random(f"batch/{seed}")
    kills = tuple(
        Kill(round(rng.uniform(0.0, _KILLS_WITHIN), 3), rng.random() < 0.6)
        for _ in range(rng.randint(3, 5))
    )
    return BatchPlan(
        seed,
        rng.choice(("day", "open")),
        kills,
        _troubles(rng, VENUE_TROUBLES, rng.choice((0, 1, 1, 2)), ()),
        tuple(plan_run(seed, number, markets, fractions) for number in range(runs)),
    )


def plan_run(seed: int, number: int, markets: Sequence[str], fractions: bool) -> RunPlan:
    rng = random.Random(f"run/{seed}/{number}")
    name = rng.choice(markets)
    market = MARKETS[name]
    # Few contracts for several positions: most buckets are shared.
    most = min(len(market.contracts), 3)
    contracts = rng.sample(market.contracts, rng.randint(1, most))
    hedged = market.hedges and rng.random() < 0.35
    sides = {contract.symbol: _sides(rng, market, hedged) for contract in contracts}
    positions = tuple(_position(rng, name, contracts, sides) for _ in range(rng.randint(2, 4)))
    if market.shorts and not hedged and rng.random() < 0.3:
        # Together with the first it comes to nothing on the exchange.
        positions = (*positions[:3], tuple(_mirrored(leg) for leg in positions[0]))
    own = tuple(
        _holding(rng, name, contract, rng.choice(sides[contract.symbol]), 6)
        for contract in contracts
        if rng.random() < 0.4
    )
    asks = _asks(rng, f"{seed}-{number}", len(positions), fractions)
    return RunPlan(
        number,
        name,
        hedged,
        own,
        positions,
        asks,
        _trades(rng, name, contracts, hedged),
        _run_troubles(rng, asks),
        tuple(_moments(rng, rng.choice((0, 0, 1, 2)))),
        _rests(rng, market, positions, hedged),
        rng.random() < 0.5,
    )


def _sides(rng: random.Random, market: Market, hedged: bool) -> tuple[str, ...]:
    """What is held of a contract; both sides of it net in one-way mode, and much is refused."""
    if not market.shorts:
        return ("Buy",)
    if rng.random() < (0.7 if hedged else 0.2):
        return _SIDES
    return (rng.choice(_SIDES),)


def _position(
    rng: random.Random,
    name: str,
    contracts: Sequence[Contract],
    sides: Mapping[str, tuple[str, ...]],
) -> tuple[Holding, ...]:
    """Legs in different symbols."""
    chosen = rng.sample(contracts, rng.randint(1, len(contracts)))
    return tuple(_holding(rng, name, c, rng.choice(sides[c.symbol]), _LEG_UNITS) for c in chosen)


def _mirrored(leg: Holding) -> Holding:
    return replace(leg, side="Sell" if leg.side == "Buy" else "Buy")


def _holding(rng: random.Random, name: str, contract: Contract, side: str, units: int) -> Holding:
    """At least a unit, which is worth an order; the rest to the step."""
    steps = int(contract.unit / contract.step) * (units - 1)
    return Holding(
        name, contract.symbol, side, contract.unit + contract.step * rng.randint(0, steps)
    )


def _asks(rng: random.Random, prefix: str, positions: int, fractions: bool) -> tuple[Ask, ...]:
    """Volleys: several clients at nearly the same moment, some with keys, some of them twice."""
    asks = []
    for position in range(positions):
        for volley in range(rng.choice((1, 1, 2, 3))):
            moment = rng.uniform(0.0, ACTS_WITHIN)
            key = f"{prefix}-{position}-{volley}"
            # All of a volley ask for the same: a key stands for one wish.
            wanted = _wanted(rng, position, positions)
            terms = _terms(rng, fractions=fractions and len(wanted) == 1, alone=len(wanted) == 1)
            for _ in range(rng.choice((1, 2, 2, 5))):
                # Everybody looks at a preview of his own: with it, no two wishes are the same.
                keyed = rng.random() < 0.6 and not terms.by_plan
                asks.append(
                    Ask(
                        at=round(moment + rng.choice((0.0, 0.0, 0.01, 0.4)), 3),
                        positions=wanted,
                        client=rng.randint(0, 1),
                        key=f"{key}-{rng.randint(0, 1)}" if keyed else None,
                        cancel_after=rng.uniform(0, 0.3) if rng.random() < 0.02 else None,
                        terms=terms,
                    )
                )
    return tuple(sorted(asks, key=lambda ask: ask.at))


def _wanted(rng: random.Random, position: int, positions: int) -> tuple[int, ...]:
    """The position alone, or it and some others together."""
    dice = rng.random()
    if dice < 0.6:
        return (position,)
    if dice < 0.7:
        # Those that come to nothing together, where there are such.
        return (0, positions - 1)
    others = [number for number in range(positions) if number != position]
    return (position, *rng.sample(others, rng.randint(1, len(others))))


def _terms(rng: random.Random, *, fractions: bool, alone: bool) -> Terms:
    fraction = rng.choice((None, None, "0.5", "0.25", "0.123"))
    return Terms(
        fraction if fractions else None,
        rng.choice(("0.5", "3")) if rng.random() < 0.2 else None,
        rng.random() < 0.2,
        alone and rng.random() < 0.15,
    )


def _trades(
    rng: random.Random, name: str, contracts: Sequence[Contract], hedged: bool
) -> tuple[HandTrade, ...]:
    trades = []
    for moment in _moments(rng, rng.choice((0, 0, 0, 0, 1, 2))):
        what = _holding(rng, name, rng.choice(contracts), rng.choice(_SIDES), 8)
        trades.append(HandTrade(moment, what, rng.randint(1, 2) if hedged else 0))
    return tuple(trades)


def _rests(
    rng: random.Random,
    market: Market,
    positions: Sequence[Sequence[Holding]],
    hedged: bool,
) -> tuple[Rest, ...]:
    """In the way of closing a leg: from before that is asked for, or from somewhere in between."""
    if not market.rests or rng.random() < 0.75:
        return ()
    leg = rng.choice(rng.choice(positions))
    idx = (1 if leg.side == "Buy" else 2) if hedged else 0
    at = rng.choice((0.0, round(rng.uniform(0.0, ACTS_WITHIN), 3)))
    return (Rest(at, _mirrored(leg), idx),)


def _run_troubles(rng: random.Random, asks: Sequence[Ask]) -> tuple[Trouble, ...]:
    # When a position is first asked for its orders leave: what strikes nobody is no trouble.
    first: dict[int, float] = {}
    for ask in asks:
        for position in ask.positions:
            first.setdefault(position, ask.at)
    moments = list(first.values())
    several = _troubles(rng, COMPOUND_TROUBLES, rng.choice((0, 1, 1)), moments)
    return several + _troubles(rng, ACCOUNT_TROUBLES, rng.randint(1, 4), moments)


def _troubles(
    rng: random.Random, palette: Palette, count: int, moments: Sequence[float]
) -> tuple[Trouble, ...]:
    chosen = []
    for name in rng.sample(sorted(palette), count):
        at = rng.uniform(0.0, ACTS_WITHIN - 2)
        if moments and rng.random() < 0.85:
            at = max(rng.choice(moments) - 0.3, 0.0)
        until = min(at + rng.uniform(1.0, 8.0), ACTS_WITHIN + 1)
        specs = tuple(
            {"chance": rng.choice((1.0, 1.0, 0.5)), "seed": rng.randrange(10**6), **spec}
            for spec in palette[name]
        )
        chosen.append(Trouble(name, round(at, 3), round(until, 3), specs))
    return tuple(sorted(chosen, key=lambda trouble: trouble.at))


def _moments(rng: random.Random, count: int) -> list[float]:
    return sorted(round(rng.uniform(0.0, ACTS_WITHIN), 3) for _ in range(count))
