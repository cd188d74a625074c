"""The preview: what the close will do, for as long as nothing changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.close_planner import ClosePlanner
from positiond.daemon.close_quotes import CloseQuotes
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable, NotFound
from positiond.daemon.domain.model import (
    Category,
    Environment,
    Holding,
    InstrumentKey,
    KeyInfo,
    PositionStatus,
)
from positiond.daemon.domain.orders import CloseTerms, OrderBook, RequestState
from positiond.daemon.domain.resolving import ResolveAction
from positiond.daemon.domain.services import ClosePlan, PlannedLeg

from ...builders import ACCOUNT, ALICE, BOB, BTC, ETH, SHORT, component, instrument
from ..domain.surroundings import resting
from .fake_time import in_fake_time, now, timing
from .gate import Gate
from .stage import Stage
from .venue import Door, Venue

HALF = Decimal("0.5")


class Market(Door):
    """A Gateway with a book, which may be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 0.01

    async def order_book(
        self, environment: Environment, category: Category, symbol: str
    ) -> OrderBook:
        await asyncio.sleep(self.takes)
        deep = Decimal(1000)
        return OrderBook(((Decimal(100), deep),), ((Decimal(110), deep),), now())


class Counter(Venue):
    """A venue that tells its fees; `asked` says how often."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self.fails = False
        self.asked = 0
        self.hanging: set[str] = set()

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        assert urgent, "somebody waits"
        await asyncio.sleep(60.0 if symbol in self.hanging else 0.0)
        return await super().holdings_in(category, symbol, urgent=urgent)

    async def taker_fee_rate(self, category: Category, symbol: str) -> Decimal:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.fails:
            raise ExchangeUnreachable("timeout", "no answer")
        return Decimal("0.001")


class Previews(Stage):
    """A stage with a planner."""

    def __init__(self) -> None:
        super().__init__()
        self.market = self.door = Market()
        self.counter = self.venue = Counter(self.gate)
        closing = self.closing()
        quotes = CloseQuotes(self.market, closing.exchange, timing())
        self.planner = ClosePlanner(closing, quotes, self._index)

    @staticmethod
    def _index(_key: InstrumentKey) -> Decimal | None:
        return Decimal(5000)

    async def plan(self, fraction: Decimal | None = None, name: str = "pair") -> ClosePlan:
        (one,) = [p for p in self.ledger.positions.values() if p.name == name]
        self.portfolio.positions.clear()
        for recorded in self.ledger.positions.values():
            self.portfolio.put(recorded)
        return await self.planner.plan(ALICE, one.id, fraction)


def by_symbol(plan: ClosePlan) -> dict[str, PlannedLeg]:
    return {leg.component.symbol: leg for leg in plan.legs}


@in_fake_time
async def test_each_leg_says_what_would_be_sent_and_what_it_would_cost() -> None:
    stage = Previews()
    stage.record(component("1"), component("5", SHORT, ETH))
    plan = await stage.plan()
    legs = by_symbol(plan)
    assert (legs[BTC].quantity, legs[ETH].quantity) == (1, 5)
    assert (legs[BTC].estimated_price, legs[ETH].estimated_price) == (100, 110)
    assert legs[BTC].estimated_fee == Decimal("0.1")
    assert legs[ETH].estimated_fee == Decimal("0.55")
    assert legs[BTC].fee_coin == "USDT"
    assert plan.can_close
    assert not stage.venue.sent


@in_fake_time
async def test_a_close_that_names_the_plan_finds_it_again() -> None:
    stage = Previews()
    one = stage.record(component("1"), component("5", SHORT, ETH), component("2", of="x"))
    plan = await stage.plan()
    request = await stage.close(one, CloseTerms(expected_plan=plan.plan_id))
    assert (request.state, request.code) == (RequestState.DONE, None)


@in_fake_time
async def test_a_planned_part_is_what_the_close_of_that_part_sends() -> None:
    stage = Previews()
    stage.door.rules[BTC] = instrument(step="0.3")
    one = stage.record(component("1"))
    part = Decimal("0.333333333333333333")
    plan = await stage.plan(part)
    assert (plan.legs[0].quantity, plan.fraction) == (Decimal("0.3"), part)
    terms = CloseTerms(fraction=part, expected_plan=plan.plan_id)
    request = await stage.close(one, terms)
    assert request.state is RequestState.DONE
    assert stage.venue.quantities(BTC) == [Decimal("0.3")]


@in_fake_time
async def test_a_leg_that_is_closed_already_is_neither_asked_for_nor_shown() -> None:
    stage = Previews()
    one = stage.record(component("1"), component("5", SHORT, ETH, closed="5"))
    plan = await stage.plan()
    assert [leg.component.symbol for leg in plan.legs] == [BTC]
    assert stage.venue.reads == [BTC]
    request = await stage.close(one, CloseTerms(expected_plan=plan.plan_id))
    assert request.state is RequestState.DONE


@in_fake_time
async def test_a_close_by_a_plan_that_no_longer_holds_sends_nothing() -> None:
    stage = Previews()
    one = stage.record(component("1"))
    plan = await stage.plan()
    stage.venue.trade(BTC, "-0.4")
    request = await stage.close(one, CloseTerms(expected_plan=plan.plan_id))
    assert (request.state, request.code) == (RequestState.FAILED, "plan-changed")
    assert not stage.venue.sent


@in_fake_time
async def test_a_loss_without_an_owner_offers_the_decisions_in_place() -> None:
    stage = Previews()
    stage.record(component("1"))
    stage.record(component("1", of="other"), name="other")
    stage.venue.trade(BTC, "-0.4")
    (leg,) = (await stage.plan()).legs
    (blocker,) = leg.blockers
    assert blocker.code == "shortfall-unattributed"
    assert blocker.resolve == (ResolveAction.REBASE,)


@in_fake_time
async def test_while_a_close_is_open_there_is_nothing_to_decide() -> None:
    stage = Previews()
    one = stage.record(component("1"))
    stage.record(component("1", of="other"), name="other")
    stage.venue.trade(BTC, "-0.4")
    stage.ledger.positions[one.id] = replace(one, status=PositionStatus.CLOSING)
    (leg,) = (await stage.plan()).legs
    assert [(b.code, b.resolve) for b in leg.blockers] == [("shortfall-unattributed", ())]


@in_fake_time
async def test_what_nets_against_others_has_no_decision_to_offer() -> None:
    stage = Previews()
    stage.record(component("1"))
    stage.record(component("3", SHORT, of="other"), name="other")
    # Half a coin too much could be decided on, and would still be netted away.
    stage.venue.trade(BTC, "0.5")
    plan = await stage.plan()
    (blocker,) = plan.legs[0].blockers
    assert (blocker.code, blocker.resolve) == ("netted", ())
    assert not plan.can_close


@in_fake_time
async def test_orders_in_the_way_are_named() -> None:
    stage = Previews()
    stage.record(component("1"))
    stage.venue.resting = [resting("0.4")]
    (leg,) = (await stage.plan()).legs
    assert [blocker.code for blocker in leg.blockers] == ["resting-orders"]
    assert [order.left for order in leg.resting] == [Decimal("0.4")]
    assert (leg.quantity, leg.estimated_price) == (1, 100)


@in_fake_time
async def test_the_sales_that_lock_a_coin_are_named_and_do_not_change_the_plan() -> None:
    stage = Previews()
    leg = replace(component("1", category=Category.SPOT), coin="BTC")
    one = stage.record(leg)
    stage.venue.locked["BTC"] = Decimal("0.4")
    bid = replace(resting("0.4", side="Buy"), category=Category.SPOT)
    stage.venue.resting = [replace(resting("0.4"), category=Category.SPOT), bid]
    plan = await stage.plan()
    assert [blocker.code for blocker in plan.legs[0].blockers] == ["coin-locked"]
    assert [order.side for order in plan.legs[0].resting] == [SHORT]
    request = await stage.close(one, CloseTerms(expected_plan=plan.plan_id))
    assert (request.state, request.code) == (RequestState.FAILED, "coin-locked")


@in_fake_time
async def test_legs_that_share_an_order_share_its_price_and_the_heavy_ones_its_fee() -> None:
    stage = Previews()
    stage.record(component("3"), component("1", SHORT))
    heavy, light = (await stage.plan()).legs
    assert (heavy.quantity, light.quantity) == (3, 1)
    assert (heavy.estimated_price, light.estimated_price) == (100, 100)
    # One order of the net: 2 at 100.
    assert (heavy.estimated_fee, light.estimated_fee) == (Decimal("0.2"), 0)


@in_fake_time
async def test_legs_that_cancel_out_close_at_the_valuation_price_for_nothing() -> None:
    stage = Previews()
    stage.record(component("1"), component("1", SHORT))
    legs = (await stage.plan()).legs
    assert [leg.quantity for leg in legs] == [1, 1]
    assert [leg.estimated_price for leg in legs] == [105, 105]
    assert [leg.estimated_fee for leg in legs] == [0, 0]


@in_fake_time
async def test_a_slow_book_and_a_missing_rate_leave_the_plan_without_an_estimate() -> None:
    stage = Previews()
    stage.record(component("1"))
    stage.market.takes, stage.counter.fails = 30.0, True
    before = now()
    (leg,) = (await stage.plan()).legs
    assert (now() - before).total_seconds() < 2.1
    assert (leg.quantity, leg.estimated_price, leg.estimated_fee) == (1, None, None)


@in_fake_time
async def test_a_fee_rate_is_asked_for_once_in_ten_minutes() -> None:
    stage = Previews()
    stage.record(component("1"))
    for _ in range(3):
        await stage.plan()
        await asyncio.sleep(290)
    assert stage.counter.asked == 1
    await stage.plan()
    assert stage.counter.asked == 2


@in_fake_time
async def test_what_could_not_be_read_is_no_plan() -> None:
    stage = Previews()
    stage.record(component("1"), component("5", SHORT, ETH))
    stage.counter.hanging.add(ETH)
    with pytest.raises(ExchangeUnreachable) as refusal:
        await stage.plan()
    assert refusal.value.code == "exchange-unreachable"
    stage.counter.hanging.clear()
    stage.venue.refuses_reads = ExchangeUnreachable("timeout", "no answer")
    with pytest.raises(ExchangeUnreachable):
        await stage.plan()


@in_fake_time
async def test_a_key_that_may_not_trade_is_in_the_way_of_every_leg() -> None:
    stage = Previews()
    stage.record(component("1"), component("5", SHORT, ETH))
    stage.portfolio.accounts[ACCOUNT].key_info = KeyInfo("1", True, {}, (), None)
    plan = await stage.plan()
    assert [leg.blockers[0].code for leg in plan.legs] == ["read-only-key"] * 2


@in_fake_time
async def test_a_right_that_the_key_lacks_is_in_the_way_of_its_leg_and_of_the_hash() -> None:
    stage = Previews()
    stage.record(component("1"), component("5", SHORT, ETH))
    stage.market.rules[ETH] = instrument(ETH, settle_coin="USDC")
    free = await stage.plan()
    rights = {"ContractTrade": ("Order", "Position"), "Options": ()}
    stage.portfolio.accounts[ACCOUNT].key_info = KeyInfo("1", False, rights, (), None)
    await asyncio.sleep(2)
    plan = await stage.plan()
    codes = {symbol: [b.code for b in leg.blockers] for symbol, leg in by_symbol(plan).items()}
    assert codes == {BTC: [], ETH: ["key-lacks-right"]}
    assert plan.plan_id != free.plan_id


@in_fake_time
async def test_whoever_asks_at_once_reads_once() -> None:
    stage = Previews()
    stage.record(component("1"))
    plans = await asyncio.gather(*(stage.plan() for _ in range(20)))
    assert {plan.plan_id for plan in plans} == {plans[0].plan_id}
    assert stage.venue.reads == [BTC]
    await asyncio.sleep(1)
    await stage.plan()
    assert stage.venue.reads == [BTC, BTC]


@in_fake_time
async def test_a_changed_record_is_read_anew_at_once() -> None:
    stage = Previews()
    one = stage.record(component("2"))
    first = await stage.plan()
    (leg,) = one.components
    rebased = replace(one, components=(replace(leg, quantity=Decimal(1)),))
    stage.ledger.positions[one.id] = rebased
    second = await stage.plan()
    assert first.plan_id != second.plan_id
    assert second.legs[0].quantity == 1


@in_fake_time
async def test_a_plan_holds_for_a_minute_for_its_position_and_part_alone() -> None:
    stage = Previews()
    one = stage.record(component("1"))
    other = stage.record(component("1", SHORT, ETH, of="other"), name="other")
    plan = await stage.plan(HALF)
    terms = CloseTerms(fraction=HALF, expected_plan=plan.plan_id)
    assert stage.planner.holds(one.id, terms)
    assert not stage.planner.holds(other.id, terms)
    assert not stage.planner.holds(one.id, replace(terms, fraction=None))
    assert not stage.planner.holds(one.id, replace(terms, expected_plan="made up"))
    await asyncio.sleep(59)
    assert stage.planner.holds(one.id, terms)
    await asyncio.sleep(1)
    assert not stage.planner.holds(one.id, terms)


@in_fake_time
async def test_all_of_it_is_the_same_whether_it_is_said_or_not() -> None:
    stage = Previews()
    one = stage.record(component("1"))
    plan = await stage.plan()
    terms = CloseTerms(fraction=Decimal("1.0"), expected_plan=plan.plan_id)
    assert stage.planner.holds(one.id, terms)


@in_fake_time
async def test_what_is_not_there_or_not_ones_own_or_closed_has_no_plan() -> None:
    stage = Previews()
    one = stage.record(component("1"))
    with pytest.raises(NotFound):
        await stage.planner.plan(BOB, one.id, None)
    stage.ledger.positions[one.id] = replace(one, status=PositionStatus.CLOSED)
    with pytest.raises(Conflict) as refusal:
        await stage.planner.plan(ALICE, one.id, None)
    assert refusal.value.code == "already-closed"
    assert not stage.venue.reads
