"""Closing several positions together: all of them or none, and what was said with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from positiond.daemon.domain.errors import Conflict, InvalidInput, NotFound
from positiond.daemon.domain.model import (
    Account,
    Credentials,
    Environment,
    PositionId,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseTerms,
    OrderState,
    RequestState,
)
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    NOW,
    accept,
    accept_set,
    add_account,
    add_position,
    end,
    leg,
    net_order,
    order_of,
    to_preflight,
    write_ahead,
)


async def test_the_terms_of_a_close_are_kept_wherever_it_is_read(store: Store) -> None:
    position = await add_position(
        store, await add_account(store), leg("BTCUSDT", quantity="0.3"), leg("ETHUSDT")
    )
    terms = CloseTerms(Decimal("0.25"), Decimal("0.5"), True, "plan-1")
    accepted = await accept(store, position, terms=terms)
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert (request.terms, request.set_id) == (terms, None)
    assert request.targets == {
        position.components[0].id: Decimal("0.075"),
        position.components[1].id: Decimal("0.25"),
    }
    assert request.open_at_acceptance == {c.id: c.open for c in position.components}
    for found in (
        await store.closes.open_requests(),
        await store.closes.last_requests([position.id]),
        await store.evidence.closes_of(position.id, 5),
    ):
        assert found == [request]


async def test_a_close_without_a_fraction_is_for_all_that_is_open(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    accepted = await accept(store, position)
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert request.targets == request.open_at_acceptance
    assert request.terms == CloseTerms()


@pytest.mark.parametrize(
    "terms",
    [
        CloseTerms(fraction=Decimal(0)),
        CloseTerms(fraction=Decimal("1.01")),
        CloseTerms(fraction=Decimal("NaN")),
        CloseTerms(slippage=Decimal("0.009")),
        CloseTerms(slippage=Decimal("10.1")),
        CloseTerms(slippage=Decimal("NaN")),
    ],
)
async def test_terms_that_mean_nothing_are_refused(store: Store, terms: CloseTerms) -> None:
    position = await add_position(store, await add_account(store))
    for asked in (accept(store, position, terms=terms), accept_set(store, position, terms=terms)):
        with pytest.raises(InvalidInput):
            await asked
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert reloaded.status is PositionStatus.ACTIVE


async def test_who_asks_while_a_close_is_open_joins_it_whatever_his_terms(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    first = await accept(store, position, terms=CloseTerms(fraction=Decimal("0.5")))
    second = await accept(store, position)
    assert second == replace(first, is_new=False)
    (request,) = await store.closes.open_requests()
    assert request.terms.fraction == Decimal("0.5")


async def test_a_set_is_one_request_for_each_position_in_the_order_asked(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(3)][::-1]
    terms = CloseTerms(slippage=Decimal(1), cancel_resting=True)
    accepted = await accept_set(store, *positions, positions[0], terms=terms)
    assert accepted.is_new
    assert [close.position_id for close in accepted.closes] == [p.id for p in positions]
    requests = await store.closes.requests_of_set(accepted.set_id)
    assert [request.id for request in requests] == [close.close_id for close in accepted.closes]
    assert {request.set_id for request in requests} == {accepted.set_id}
    assert {request.terms for request in requests} == {terms}
    assert {p.status for p in await store.positions.load_open()} == {PositionStatus.CLOSING}
    event = (await store.evidence.events_of(positions[0].id, 1))[0]
    assert event.kind == "close-accepted"
    assert event.data == {
        "set_id": str(accepted.set_id),
        "slippage": "1",
        "cancel_resting": True,
    }


async def test_a_set_is_accepted_as_a_whole_or_not_at_all(store: Store, epoch: int) -> None:
    account = await add_account(store)
    fine, closed, busy = [await add_position(store, account) for _ in range(3)]
    foreign = await add_position(store, await add_account(store, "bob"))
    elsewhere = await add_position(store, await _second_account(store, account))
    await end(store, (await accept(store, closed)).close_id)
    alone = await accept(store, busy)
    unknown = replace(fine, id=PositionId(uuid4()))
    for other, error, code in (
        (closed, Conflict, "already-closed"),
        (busy, Conflict, "close-open"),
        (foreign, NotFound, "unknown-position"),
        (unknown, NotFound, "unknown-position"),
        (elsewhere, InvalidInput, "several-accounts"),
    ):
        with pytest.raises(error) as refused:
            await accept_set(store, fine, other)
        assert refused.value.code == code
    with pytest.raises(InvalidInput):
        await store.closes.accept_set(
            account.user_id,
            [],
            terms=CloseTerms(),
            idempotency_key=None,
            fingerprint="",
            expires_at=NOW + MINUTE,
            now=NOW,
        )
    assert [request.id for request in await store.closes.open_requests()] == [alone.close_id]
    reloaded = await store.positions.load(fine.id)
    assert reloaded is not None
    assert reloaded.status is PositionStatus.ACTIVE


async def test_who_asks_for_an_open_set_again_gets_it_and_no_other(store: Store) -> None:
    account = await add_account(store)
    one, two, three = [await add_position(store, account) for _ in range(3)]
    first = await accept_set(store, one, two)
    again = await accept_set(store, two, one)
    assert (again.set_id, again.is_new) == (first.set_id, False)
    assert {c.close_id for c in again.closes} == {c.close_id for c in first.closes}
    assert [c.position_id for c in again.closes] == [two.id, one.id]
    part = await accept_set(store, two)
    assert part.closes == (replace(first.closes[1], is_new=False),)
    with pytest.raises(Conflict):
        await accept_set(store, one, two, three)
    other = await accept_set(store, three)
    with pytest.raises(Conflict):
        await accept_set(store, one, three)
    assert other.set_id != first.set_id
    # One that asks for one of them alone joins what is open for it.
    assert await accept(store, one) == replace(first.closes[0], is_new=False)


async def test_a_key_gives_the_first_answer_to_a_set_again_even_after_its_end(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    one, two = [await add_position(store, account) for _ in range(2)]
    first = await accept_set(store, one, two, key="k")
    await end(store, *(close.close_id for close in first.closes))
    again = await accept_set(store, one, two, key="k")
    assert again == AcceptedSet(
        first.set_id, tuple(replace(close, is_new=False) for close in first.closes), False
    )
    three = await add_position(store, account)
    for asked in (
        accept_set(store, one, two, key="k", fingerprint="other"),
        accept_set(store, one, three, key="k"),
        accept(store, one, key="k"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await asked
        assert refused.value.code == "idempotency-key-reused"
    await accept(store, three, key="single")
    with pytest.raises(InvalidInput):
        await accept_set(store, three, key="single")


@pytest.mark.parametrize("sets_first", [True, False])
async def test_a_hundred_sets_and_single_closes_at_once_make_one_close_of_each_position(
    store: Store, sets_first: bool
) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(4)]
    refusals: list[str] = []

    async def ask(n: int) -> tuple[AcceptedClose, ...]:
        if n % 2 == sets_first:
            # Of one position alone, and thus in the way of the set, or joined to it.
            return (await accept(store, positions[n // 2 % 4]),)
        try:
            return (await accept_set(store, *positions[:: 1 if n % 4 < 2 else -1])).closes
        except Conflict as error:
            refusals.append(error.code)
            return ()

    answers = await asyncio.gather(*(ask(n) for n in range(100)))
    assert set(refusals) <= {"close-open"}
    found = await store.closes.open_requests()
    open_now = {request.position_id: request for request in found}
    assert len(open_now) == len(found) == 4
    assert sum(close.is_new for closes in answers for close in closes) == 4
    for closes in answers:
        assert all(open_now[close.position_id].id == close.close_id for close in closes)
        # All of the set, or no part of it.
        if len(closes) == 4:
            assert len({request.set_id for request in found}) == 1
            assert found[0].set_id is not None


async def test_a_hundred_askers_for_the_same_set_at_once_get_one_set(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(3)]
    orders = (positions, positions[::-1], positions[1:] + positions[:1])
    answers = await asyncio.gather(*(accept_set(store, *orders[n % 3]) for n in range(100)))
    assert len({answer.set_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert len(await store.closes.open_requests()) == 3


async def test_the_requests_of_a_set_move_together_or_not_at_all(store: Store, epoch: int) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(2)]
    one, two = (close.close_id for close in (await accept_set(store, *positions)).closes)
    await store.closes.move_requests([one], RequestState.ACCEPTED, RequestState.WAITING)
    with pytest.raises(Conflict) as refused:
        await store.closes.move_requests([one, two], RequestState.ACCEPTED, RequestState.WAITING)
    assert refused.value.code == "lost-update"
    assert [r.state for r in await store.closes.open_requests()] == [
        RequestState.WAITING,
        RequestState.ACCEPTED,
    ]
    orders = [order_of(two, positions[1], positions[1].components[0])]
    with pytest.raises(Conflict):
        await store.closes.write_ahead(
            [one, two], RequestState.WAITING, RequestState.SENDING, orders
        )
    assert await store.closes.orders([one, two]) == []
    with pytest.raises(ValueError, match="not moved with it"):
        await store.closes.write_ahead([one], RequestState.WAITING, RequestState.SENDING, orders)


async def test_a_remainder_is_written_ahead_without_leaving_the_state(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    order = await net_order(store, [await add_position(store, account)], [])
    moved = ([order.close_id], RequestState.SENDING, RequestState.SETTLING)
    await store.closes.move_requests(*moved)
    again = replace(order, id=store.closes.new_order_id(), link_id="again", attempt=2)
    stay = RequestState.SETTLING
    await store.closes.write_ahead([order.close_id], stay, stay, [again])
    found = await store.closes.orders([order.close_id])
    assert [(o.link_id, o.attempt) for o in found] == [(order.link_id, 1), ("again", 2)]


async def test_cancelling_one_of_a_set_cancels_all(store: Store, epoch: int) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(3)]
    accepted = await accept_set(store, *positions)
    ids = [close.close_id for close in accepted.closes]
    cancelled = await store.closes.cancel(account.user_id, ids[1], NOW)
    assert (cancelled.id, cancelled.state) == (ids[1], RequestState.CANCELLED)
    assert await store.closes.open_requests() == []
    assert {p.status for p in await store.positions.load_open()} == {PositionStatus.ACTIVE}
    for position in positions:
        assert (await store.evidence.events_of(position.id, 1))[0].kind == "close-cancelled"


async def test_a_set_of_which_one_has_sent_is_not_cancelled(store: Store, epoch: int) -> None:
    account = await add_account(store)
    long = await add_position(store, account, leg("BTCUSDT", quantity="3"))
    short = await add_position(store, account, leg("BTCUSDT", Side.SELL))
    order = await net_order(store, [long], [short])
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    for part in order.parts:
        with pytest.raises(Conflict) as refused:
            await store.closes.cancel(account.user_id, part.close_id, NOW)
        assert refused.value.code == "already-sending"
    assert len(await store.closes.open_requests()) == 2


async def test_a_set_is_not_cancelled_in_part(store: Store, epoch: int) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(2)]
    ids = [close.close_id for close in (await accept_set(store, *positions)).closes]
    await to_preflight(store, *ids)
    await write_ahead(store, order_of(ids[1], positions[1], positions[1].components[0]))
    for close_id in ids:
        with pytest.raises(Conflict) as refused:
            await store.closes.cancel(account.user_id, close_id, NOW)
        assert refused.value.code == "already-sending"
    assert len(await store.closes.open_requests()) == 2


async def test_cancelling_a_set_and_writing_ahead_at_once_lets_one_win(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    for _ in range(8):
        positions = [await add_position(store, account) for _ in range(3)]
        accepted = await accept_set(store, *positions)
        ids = [close.close_id for close in accepted.closes]
        await to_preflight(store, *ids)
        orders = [order_of(i, p, p.components[0]) for i, p in zip(ids, positions, strict=True)]
        outcomes = await asyncio.gather(
            store.closes.cancel(account.user_id, ids[2], NOW),
            write_ahead(store, *orders[::-1]),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
        states = {request.state for request in await store.closes.requests_of_set(accepted.set_id)}
        sent = await store.closes.orders(ids)
        assert (states, len(sent)) in (
            ({RequestState.CANCELLED}, 0),
            ({RequestState.SENDING}, 3),
        )


async def test_an_expiry_moves_on_and_never_back(store: Store, epoch: int) -> None:
    account = await add_account(store)
    ended = await accept(store, await add_position(store, account))
    await end(store, ended.close_id, new=RequestState.FAILED)
    accepted = await accept(store, await add_position(store, account))
    later = NOW + timedelta(hours=1)
    await store.closes.extend([accepted.close_id, ended.close_id], later)
    await store.closes.extend([accepted.close_id], later - MINUTE)
    (request,) = await store.closes.open_requests()
    assert request.expires_at == later


async def test_a_refusal_stops_new_closes_and_takes_back_no_answer(store: Store) -> None:
    account = await add_account(store)
    one, two, three = [await add_position(store, account) for _ in range(3)]
    refusal = Conflict("read-only-key", "the key may not trade")
    for asked in (
        accept(store, one, refusal=refusal),
        accept_set(store, one, two, refusal=refusal),
    ):
        with pytest.raises(Conflict) as refused:
            await asked
        assert refused.value is refusal
    assert await store.closes.open_requests() == []
    alone = await accept(store, one, key="one")
    together = await accept_set(store, two, three, key="set")
    for key in ("one", None):
        again = await accept(store, one, key=key, refusal=refusal)
        assert again == replace(alone, is_new=False)
    for key in ("set", None):
        both = await accept_set(store, two, three, key=key, refusal=refusal)
        assert (both.set_id, both.is_new) == (together.set_id, False)


async def _second_account(store: Store, account: Account) -> Account:
    credentials = Credentials("another key", "the secret")
    return await store.accounts.add(account.user_id, "second", Environment.PAPER, credentials)
