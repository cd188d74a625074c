"""Closes to be killed half-way, and what each has to come to however often it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from positiond.daemon.domain.model import ZERO, Category, Component, Position, PositionStatus
from positiond.daemon.domain.orders import (
    CloseRequest,
    CloseTerms,
    LegOutcome,
    ReduceOnlyOrder,
    RequestState,
    SpotSell,
)

from ...builders import BTC, ETH, SHORT, component, instrument, symbol_key
from ..domain.surroundings import resting
from .ledger import Ledger
from .mortal import MortalGate, WiredVenue
from .stage import Stage
from .venue import Reaction, place_of_order

SOL, INVERSE, COIN = "SOLUSDT", "BTCUSD", "BTC"
HALF = CloseTerms(fraction=Decimal("0.5"))

_Setup = Callable[["CrashStage"], Sequence[CloseRequest]]


class CrashStage(Stage):
    """A stage whose process may die; the venue and the ledger outlive it."""

    def __init__(self, *reactions: Reaction, latency: float) -> None:
        super().__init__()
        self.gate = MortalGate()
        self.venue: WiredVenue = WiredVenue(self.gate)
        self.venue.latency = latency
        self.venue.script.extend(reactions)
        self.ledger = Ledger(self.gate)

    def asked(self, *positions: Position, terms: CloseTerms | None = None) -> list[CloseRequest]:
        """The closes of the positions, accepted: one alone, several as a set."""
        if len(positions) == 1:
            return [self.ledger.open_close(positions[0], terms)]
        return self.ledger.open_set(*positions, terms=terms)


@dataclass(frozen=True)
class Story:
    """`sold` is what our orders fill in each symbol or coin, `left` what is held afterwards."""

    set_up: _Setup
    sold: Mapping[str, str]
    left: Mapping[str, str] = field(default_factory=dict)
    reactions: tuple[Reaction, ...] = ()
    outcome: LegOutcome = LegOutcome.FLAT
    still_open: str = "0"
    """Of every leg that was closed."""
    status: PositionStatus = PositionStatus.CLOSED

    def stage(self, latency: float) -> CrashStage:
        return CrashStage(*self.reactions, latency=latency)

    def check(self, stage: CrashStage, requests: Sequence[CloseRequest]) -> None:
        """By the venue's own books each leg was closed once, and nothing else was touched."""
        ended = [stage.ledger.requests[request.id] for request in requests]
        assert {r.state for r in ended} == {RequestState.DONE}, [(r.code, r.detail) for r in ended]
        assert {leg.outcome for r in ended for leg in r.legs} == {self.outcome}
        _check_orders(stage, {k: Decimal(v) for k, v in self.sold.items()})
        places = {*self.sold, *self.left}
        held = {p: sum(stage.venue.size(p, idx) for idx in (0, 1, 2)) for p in places}
        assert held == {p: Decimal(self.left.get(p, "0")) for p in places}
        for request in ended:
            position = stage.ledger.positions[request.position_id]
            assert position.status is self.status
            assert {c.open for c in position.components} == {Decimal(self.still_open)}


def _check_orders(stage: CrashStage, sold: Mapping[str, Decimal]) -> None:
    """Reduce-only, each id once, none for more than is left to close, every fill booked."""
    venue, rows = stage.venue, stage.ledger.rows.values()
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for _, order in venue.arrived:
        assert isinstance(order, ReduceOnlyOrder | SpotSell)
        place = place_of_order(order)
        assert order.quantity <= sold[place] - filled[place], "more than is left to close"
        filled[place] += sum((f.quantity for f in venue.fills if f.link_id == order.link_id), ZERO)
    assert filled == sold
    arrived = [order.link_id for _, order in venue.arrived]
    assert len(set(arrived)) == len(arrived), "an order arrived twice"
    assert set(arrived) <= {row.link_id for row in rows}, "an order without a row"
    assert {f.exec_id for f in venue.fills} == set(stage.ledger.executions)
    assert all(row.state.is_settled for row in rows)


# --- the stories ----------------------------------------------------------------------------


def _spot(quantity: str, of: str = "pair") -> Component:
    return replace(component(quantity, category=Category.SPOT, of=of), coin=COIN)


def _one_leg(stage: CrashStage) -> Sequence[CloseRequest]:
    return stage.asked(stage.record(component("1")))


def _three_legs(stage: CrashStage) -> Sequence[CloseRequest]:
    legs = component("1"), component("2", SHORT, ETH), component("30", symbol=SOL)
    return stage.asked(stage.record(*legs))


def _shared_bucket(stage: CrashStage) -> Sequence[CloseRequest]:
    """Beside another position, and beside what the trader holds of his own."""
    closing = stage.record(component("1"), component("2", SHORT, ETH))
    stage.record(component("3", of="rival"), name="rival")
    stage.venue.trade(BTC, "5")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(5)
    return stage.asked(closing)


def _chunks(stage: CrashStage) -> Sequence[CloseRequest]:
    stage.door.rules[BTC] = instrument(BTC, most="0.4")
    return _one_leg(stage)


def _hedged(stage: CrashStage) -> Sequence[CloseRequest]:
    stage.is_hedged = True
    return stage.asked(stage.record(component("1"), component("1", SHORT)))


def _half(stage: CrashStage) -> Sequence[CloseRequest]:
    legs = component("1"), component("1", SHORT, ETH)
    return stage.asked(stage.record(*legs), terms=HALF)


def _netting(short: str) -> _Setup:
    def set_up(stage: CrashStage) -> Sequence[CloseRequest]:
        return stage.asked(
            stage.record(component("1", of="long"), name="long"),
            stage.record(component(short, SHORT, of="short"), name="short"),
        )

    return set_up


def _spot_beside_coin(stage: CrashStage) -> Sequence[CloseRequest]:
    one = stage.record(_spot("1"))
    stage.venue.trade(COIN, "4")
    return stage.asked(one)


def _spot_after_inverse(stage: CrashStage) -> Sequence[CloseRequest]:
    rules = instrument(INVERSE, category=Category.INVERSE, settle_coin=COIN, step="1")
    stage.door.rules[INVERSE] = rules
    short = component("3", SHORT, INVERSE, category=Category.INVERSE)
    return stage.asked(stage.record(_spot("1"), short))


def _two_of_a_coin(stage: CrashStage) -> Sequence[CloseRequest]:
    return stage.asked(
        stage.record(_spot("1", "one"), name="one"), stage.record(_spot("2", "two"), name="two")
    )


def _resting_in_the_way(stage: CrashStage) -> Sequence[CloseRequest]:
    stage.venue.resting = [resting("0.5"), resting("0.4")]
    return stage.asked(stage.record(component("1")), terms=CloseTerms(cancel_resting=True))


def _closed_by_hand(stage: CrashStage) -> Sequence[CloseRequest]:
    return stage.asked(stage.record(component("1"), held=False))


_PAIR = {BTC: "1", ETH: "2"}
_BESIDE = {BTC: "8"}
_PARTS = Reaction(fills="0.4"), Reaction(fills="1.5"), Reaction(fills="0.1")

STORIES: Mapping[str, Story] = {
    "one leg": Story(_one_leg, {BTC: "1"}),
    "three legs": Story(_three_legs, {**_PAIR, SOL: "30"}),
    "beside another position": Story(_shared_bucket, _PAIR, _BESIDE),
    "in pieces": Story(_chunks, {BTC: "1"}),
    "part fills": Story(_shared_bucket, _PAIR, _BESIDE, _PARTS),
    "one never arrives": Story(_shared_bucket, _PAIR, _BESIDE, (Reaction(is_lost=True),)),
    "answers lost": Story(
        _shared_bucket,
        _PAIR,
        _BESIDE,
        (Reaction(hangs=True), Reaction(hangs=True, fills="0.7")),
    ),
    "throttled": Story(_shared_bucket, _PAIR, _BESIDE, (Reaction(busy=3.0),) * 2),
    "hedge mode": Story(_hedged, {BTC: "2"}),
    "half of it": Story(
        _half,
        {BTC: "0.5", ETH: "0.5"},
        {BTC: "0.5", ETH: "-0.5"},
        (Reaction(fills="0.2"),),
        still_open="0.5",
        status=PositionStatus.ACTIVE,
    ),
    "a set that nets": Story(_netting("0.4"), {BTC: "0.6"}, reactions=(Reaction(fills="0.3"),)),
    "a set that nets to nothing": Story(_netting("1"), {}, {BTC: "0"}),
    "spot": Story(_spot_beside_coin, {COIN: "1"}, {COIN: "4"}, (Reaction(fills="0.3"),)),
    "spot after inverse": Story(_spot_after_inverse, {COIN: "1", INVERSE: "3"}),
    "two sales of a coin": Story(_two_of_a_coin, {COIN: "3"}),
    "resting orders cancelled": Story(_resting_in_the_way, {BTC: "1"}),
    "closed by hand": Story(
        _closed_by_hand, {}, {BTC: "0"}, outcome=LegOutcome.SHORTFALL, still_open="1"
    ),
}
