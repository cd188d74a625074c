"""The closing tables: every pair by a row or refused, every open state with a way out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.closing import (
    ORDER_TABLE,
    REQUEST_TABLE,
    OrderEvent,
    RequestEvent,
    next_order_state,
    next_request_state,
)
from positiond.daemon.domain.errors import IllegalTransition
from positiond.daemon.domain.orders import OrderState, RequestState

from .samples import steady

S = TypeVar("S", RequestState, OrderState)
E = TypeVar("E", RequestEvent, OrderEvent)

ENDS = {RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED}
NOTHING_SENT = {RequestState.ACCEPTED, RequestState.WAITING, RequestState.PREFLIGHT}
EVIDENCE = {OrderEvent.SEEN_OPEN, OrderEvent.SEEN_ENDED, OrderEvent.PROVEN_ABSENT}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(RequestState, RequestEvent)))
def test_a_request_takes_an_event_by_the_table_or_not_at_all(
    state: RequestState, event: RequestEvent
) -> None:
    if (state, event) in REQUEST_TABLE:
        assert next_request_state(state, event) is REQUEST_TABLE[state, event]
        return
    with pytest.raises(IllegalTransition) as refusal:
        next_request_state(state, event)
    assert refusal.value.code == "illegal-transition"
    assert state in refusal.value.detail


@pytest.mark.parametrize(("state", "event"), list(itertools.product(OrderState, OrderEvent)))
def test_an_order_takes_an_event_by_the_table_or_not_at_all(
    state: OrderState, event: OrderEvent
) -> None:
    if (state, event) in ORDER_TABLE:
        assert next_order_state(state, event) is ORDER_TABLE[state, event]
        return
    with pytest.raises(IllegalTransition):
        next_order_state(state, event)


def reachable(table: Mapping[tuple[S, E], S], start: S) -> set[S]:
    seen, fringe = {start}, [start]
    while fringe:
        state = fringe.pop()
        for (source, _), target in table.items():
            if source == state and target not in seen:
                seen.add(target)
                fringe.append(target)
    return seen


@pytest.mark.parametrize("state", [s for s in RequestState if s.is_open])
def test_every_open_request_can_reach_an_end(state: RequestState) -> None:
    assert reachable(REQUEST_TABLE, state) & ENDS


def test_nothing_leads_out_of_an_end() -> None:
    assert not {source for source, _ in REQUEST_TABLE} & ENDS
    assert {state for state in RequestState if not state.is_open} == ENDS


def test_every_state_is_reached_from_the_start() -> None:
    assert reachable(REQUEST_TABLE, RequestState.ACCEPTED) == set(RequestState)
    assert reachable(ORDER_TABLE, OrderState.PLANNED) == set(OrderState)


@pytest.mark.parametrize("state", list(OrderState))
def test_every_order_can_settle(state: OrderState) -> None:
    assert reachable(ORDER_TABLE, state) & {OrderState.TERMINAL, OrderState.ABSENT}


def test_cancelling_is_for_requests_that_have_sent_nothing() -> None:
    sources = {state for state, event in REQUEST_TABLE if event is RequestEvent.CANCELLED}
    assert sources == NOTHING_SENT


def test_sending_is_entered_with_the_first_orders_only() -> None:
    into = {key for key, new in REQUEST_TABLE.items() if new is RequestState.SENDING}
    assert into == {(RequestState.PREFLIGHT, RequestEvent.PLANNED)}


def test_a_bucket_plans_its_remainder_whatever_another_bucket_waits_for() -> None:
    by = {state for state, event in REQUEST_TABLE if event is RequestEvent.REMAINDER_PLANNED}
    assert by == {RequestState.SENDING, RequestState.SETTLING}
    for state in by:
        moved = next_request_state(state, RequestEvent.REMAINDER_PLANNED)
        assert moved is RequestState.SETTLING


def test_done_is_reached_only_by_being_verified() -> None:
    into = {key for key, new in REQUEST_TABLE.items() if new is RequestState.DONE}
    assert into == {(RequestState.VERIFYING, RequestEvent.VERIFIED)}


@steady
@given(st.lists(st.sampled_from(RequestEvent), max_size=60))
def test_whatever_happens_a_request_moves_by_the_table_and_ends_once(
    events: list[RequestEvent],
) -> None:
    state, sent, ends = RequestState.ACCEPTED, False, 0
    for event in events:
        try:
            after = next_request_state(state, event)
        except IllegalTransition:
            assert (state, event) not in REQUEST_TABLE
            continue
        assert state.is_open
        assert after is not RequestState.CANCELLED or not sent
        sent |= event is RequestEvent.PLANNED
        ends += not after.is_open
        state = after
    assert ends == (not state.is_open)


@steady
@given(st.lists(st.sampled_from(OrderEvent), max_size=60))
def test_whatever_happens_an_order_is_sent_again_only_after_proof(
    events: list[OrderEvent],
) -> None:
    state, may_live = OrderState.PLANNED, False
    for event in events:
        try:
            after = next_order_state(state, event)
        except IllegalTransition:
            assert (state, event) not in ORDER_TABLE
            continue
        if after is OrderState.PLANNED and state is not after:
            assert not may_live
        if event is OrderEvent.SENDING:
            may_live = True
        if event in (OrderEvent.NOT_EXECUTED, OrderEvent.PROVEN_ABSENT):
            may_live = False
        state = after


def test_a_request_that_may_have_sent_ends_only_verified() -> None:
    for (state, _), new in REQUEST_TABLE.items():
        if new in ENDS:
            assert state in NOTHING_SENT | {RequestState.VERIFYING}


def test_a_restart_forgets_nothing_that_may_have_been_sent() -> None:
    for state in RequestState:
        if not state.is_open:
            continue
        resumed = next_request_state(state, RequestEvent.RESTARTED)
        assert (resumed is RequestState.ACCEPTED) is (state in NOTHING_SENT)


def test_a_restart_makes_every_unsettled_order_unknown() -> None:
    for state in OrderState:
        resumed = next_order_state(state, OrderEvent.RESTARTED)
        assert resumed is (state if state.is_settled else OrderState.UNKNOWN)


def test_only_evidence_leads_out_of_unknown() -> None:
    out = {
        event
        for (state, event), new in ORDER_TABLE.items()
        if state is OrderState.UNKNOWN and new is not OrderState.UNKNOWN
    }
    assert out == EVIDENCE


def test_an_order_is_planned_again_only_when_it_surely_did_not_execute() -> None:
    into = {key for key, new in ORDER_TABLE.items() if new is OrderState.PLANNED}
    assert into == {
        (OrderState.SENT, OrderEvent.NOT_EXECUTED),
        (OrderState.ABSENT, OrderEvent.RESEND),
    }


def test_reports_of_an_ended_order_change_no_state() -> None:
    for (state, _), new in ORDER_TABLE.items():
        if state is OrderState.TERMINAL:
            assert new is OrderState.TERMINAL


def test_a_late_fill_reopens_the_verification() -> None:
    assert (
        next_request_state(RequestState.VERIFYING, RequestEvent.LATE_FILL) is RequestState.SETTLING
    )
