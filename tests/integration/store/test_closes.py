"""Closing: accepted once, moved only by whoever knows its state, ended once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from positiond.daemon.domain.errors import Conflict, InvalidInput, NotFound
from positiond.daemon.domain.model import (
    BucketKey,
    Category,
    CloseId,
    Position,
    PositionId,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    CloseOrder,
    CloseTerms,
    LegOutcome,
    LegResult,
    OrderState,
    RequestState,
)
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    NOW,
    accept,
    add_account,
    add_position,
    end,
    flat,
    leg,
    order_of,
    rebased,
    sent_order,
    to_preflight,
    write_ahead,
)


async def test_a_hundred_askers_at_once_get_one_request(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    answers = await asyncio.gather(*(accept(store, position) for _ in range(100)))
    assert len({answer.close_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert len(await store.closes.open_requests()) == 1


async def test_accepting_marks_the_position_and_freezes_what_is_open(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT", Side.SELL, "2"))
    accepted = await accept(store, position)
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert request.state is RequestState.ACCEPTED
    assert request.account_id == account.id
    assert request.requested_by == account.user_id
    assert request.open_at_acceptance == {c.id: c.open for c in position.components}
    assert request.legs == ()
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert reloaded.status is PositionStatus.CLOSING


async def test_a_leg_with_nothing_open_takes_no_part_in_a_close(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT", Side.SELL, "2"))
    await store.positions.resolve(rebased(position, "1", "0"))
    accepted = await accept(store, position)
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert request.open_at_acceptance == {position.components[1].id: Decimal(2)}


async def test_an_unknown_and_a_foreign_position_are_not_found_alike(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    stranger = await add_account(store, "bob")
    for asked in (
        replace(position, user_id=stranger.user_id),
        replace(position, id=PositionId(uuid4())),
    ):
        with pytest.raises(NotFound):
            await accept(store, asked)
    assert await store.closes.open_requests() == []


async def test_a_key_gives_its_first_answer_again_even_after_the_close(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store))
    first = await accept(store, position, key="k")
    await end(store, first.close_id, new=RequestState.DONE)
    again = await accept(store, position, key="k")
    assert (again.close_id, again.is_new) == (first.close_id, False)
    with pytest.raises(Conflict) as refused:
        await accept(store, position, key="other")
    assert refused.value.code == "already-closed"


async def test_a_key_with_another_body_or_position_is_refused(store: Store) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    await accept(store, first, key="k")
    for asked, fingerprint in ((first, "another body"), (second, "close")):
        with pytest.raises(InvalidInput) as refused:
            await accept(store, asked, key="k", fingerprint=fingerprint)
        assert refused.value.code == "idempotency-key-reused"


async def test_one_key_for_two_positions_at_once_is_given_to_one(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(8)]
    answers = await asyncio.gather(
        *(accept(store, position, key="k") for position in positions), return_exceptions=True
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert len(await store.closes.open_requests()) == 1


async def test_a_refusal_stops_new_requests_alone(store: Store) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    opened = await accept(store, first, key="k")
    refusal = Conflict("plan-changed", "the plan is too old")

    async def ask(position: Position, key: str | None) -> AcceptedClose:
        return await store.closes.accept(
            account.user_id,
            position.id,
            terms=CloseTerms(),
            idempotency_key=key,
            fingerprint="close",
            expires_at=NOW + timedelta(minutes=15),
            now=NOW,
            refusal=refusal,
        )

    for key in ("k", None):
        answer = await ask(first, key)
        assert (answer.close_id, answer.is_new) == (opened.close_id, False)
    with pytest.raises(Conflict) as refused:
        await ask(second, "l")
    assert refused.value.code == "plan-changed"
    assert len(await store.closes.open_requests()) == 1


async def test_a_key_is_free_again_after_a_day(store: Store) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    await accept(store, first, key="k")
    answer = await store.closes.accept(
        account.user_id,
        second.id,
        terms=CloseTerms(),
        idempotency_key="k",
        fingerprint="f",
        expires_at=NOW + timedelta(days=2),
        now=NOW + timedelta(hours=24),
    )
    assert answer.is_new


async def test_a_request_moves_only_from_the_state_it_is_in(store: Store, epoch: int) -> None:
    accepted = await accept(store, await add_position(store, await add_account(store)))
    await store.closes.move_requests(
        [accepted.close_id], RequestState.ACCEPTED, RequestState.WAITING
    )
    with pytest.raises(Conflict) as refused:
        await store.closes.move_requests(
            [accepted.close_id], RequestState.ACCEPTED, RequestState.WAITING
        )
    assert refused.value.code == "lost-update"
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert request.state is RequestState.WAITING


async def test_orders_are_written_ahead_together_with_the_state(store: Store, epoch: int) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT", Side.SELL))
    accepted = await accept(store, position)
    orders = [order_of(accepted.close_id, position, c) for c in position.components]
    with pytest.raises(Conflict):
        await write_ahead(store, *orders)
    assert await store.closes.orders([accepted.close_id]) == []
    await to_preflight(store, accepted.close_id)
    await write_ahead(store, *orders)
    assert await store.closes.orders([accepted.close_id]) == orders
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert request.state is RequestState.SENDING


async def test_what_is_known_of_an_order_is_saved_and_never_forgotten(
    store: Store, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, await add_account(store)))
    await store.closes.save_order(
        replace(order, state=OrderState.ACKED, order_id="x", status="New", detail="d")
    )
    await store.closes.save_order(
        replace(order, state=OrderState.UNKNOWN, signed_at=None, dies_at=None)
    )
    (saved,) = await store.closes.orders([order.close_id])
    assert saved.state is OrderState.UNKNOWN
    assert (saved.order_id, saved.status, saved.signed_at) == ("x", "New", order.signed_at)
    with pytest.raises(NotFound):
        await store.closes.save_order(replace(order, id=store.closes.new_order_id()))


async def test_a_status_comes_with_its_own_detail_or_with_none(store: Store, epoch: int) -> None:
    order = await sent_order(store, await add_position(store, await add_account(store)))

    async def saved(now: CloseOrder) -> tuple[str | None, str | None]:
        await store.closes.save_order(now)
        (row,) = await store.closes.orders([now.close_id])
        return row.status, row.detail

    said, why = "Bybit 10006: Too many visits!", "EC_NoImmediateQtyToFill"
    assert await saved(replace(order, detail=said)) == (None, said)
    # Still without a status: what was said last stays, whoever saves without knowing it.
    assert await saved(replace(order, state=OrderState.ACKED)) == (None, said)
    ended = replace(order, state=OrderState.TERMINAL, status="Filled")
    assert await saved(ended) == ("Filled", None)
    assert await saved(replace(ended, status="Cancelled", detail=why)) == ("Cancelled", why)


async def test_a_close_with_an_unsettled_order_does_not_end(store: Store, epoch: int) -> None:
    order = await sent_order(store, await add_position(store, await add_account(store)))
    for state in (OrderState.PLANNED, OrderState.SENT, OrderState.ACKED, OrderState.UNKNOWN):
        await store.closes.save_order(replace(order, state=state))
        with pytest.raises(Conflict) as refused:
            await end(store, order.close_id, new=RequestState.FAILED, old=RequestState.SENDING)
        assert refused.value.code == "orders-unsettled"
    await store.closes.save_order(replace(order, state=OrderState.ABSENT))
    await end(store, order.close_id, new=RequestState.FAILED, old=RequestState.SENDING)


async def test_a_finished_close_ends_its_position_and_books_the_dust(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    accepted = await accept(store, position)
    bucket = BucketKey(account.id, Category.LINEAR, "BTCUSDT", 0)
    component = position.components[0]
    dust = LegResult(component.id, LegOutcome.DUST, Decimal("0.9"), Decimal(110), "below minimum")
    await end(
        store, accepted.close_id, legs=[dust], dust={bucket: Decimal("0.1")}, now=NOW + MINUTE
    )
    request = await store.closes.request(accepted.close_id)
    assert request is not None
    assert (request.state, request.ended_at, request.legs) == (
        RequestState.DONE,
        NOW + MINUTE,
        (dust,),
    )
    assert await store.closes.open_requests() == []
    assert await store.positions.load_open() == []
    assert await store.positions.unassigned() == {bucket: Decimal("0.1")}
    (closed,) = await store.positions.closed_of(account.user_id, None, 10)
    assert (closed.id, closed.closed_at, closed.unrealized_pnl) == (position.id, NOW + MINUTE, 0)


async def test_a_failed_close_leaves_the_position_active_and_can_be_tried_again(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store))
    first = await accept(store, position)
    await end(store, first.close_id, new=RequestState.FAILED, code="residual")
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert reloaded.status is PositionStatus.ACTIVE
    second = await accept(store, position)
    assert second.is_new
    (last,) = await store.closes.last_requests([position.id])
    assert last.id == second.close_id
    failed = await store.closes.request(first.close_id)
    assert failed is not None
    assert failed.code == "residual"


async def test_a_close_ends_once(store: Store, epoch: int) -> None:
    accepted = await accept(store, await add_position(store, await add_account(store)))
    await end(store, accepted.close_id, new=RequestState.CANCELLED)
    with pytest.raises(Conflict):
        await end(store, accepted.close_id, new=RequestState.DONE)


async def test_only_a_close_that_sent_nothing_can_be_cancelled(store: Store, epoch: int) -> None:
    account = await add_account(store)
    untouched = await add_position(store, account)
    accepted = await accept(store, untouched)
    stranger = await add_account(store, "bob")
    with pytest.raises(NotFound):
        await store.closes.cancel(stranger.user_id, accepted.close_id, NOW)
    with pytest.raises(NotFound):
        await store.closes.cancel(account.user_id, CloseId(uuid4()), NOW)
    cancelled = await store.closes.cancel(account.user_id, accepted.close_id, NOW)
    assert cancelled.state is RequestState.CANCELLED
    with pytest.raises(Conflict) as refused:
        await store.closes.cancel(account.user_id, accepted.close_id, NOW)
    assert refused.value.code == "already-ended"
    order = await sent_order(store, untouched)
    with pytest.raises(Conflict) as refused:
        await store.closes.cancel(account.user_id, order.close_id, NOW)
    assert refused.value.code == "already-sending"


async def test_a_close_that_has_orders_cannot_be_cancelled_whatever_its_state_says(
    store: Store, epoch: int, postgres_url: str
) -> None:
    account = await add_account(store)
    order = await sent_order(store, await add_position(store, account))
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE close_requests SET state = 'WAITING'")
    # Settled, so that nothing else forbids the end.
    await connection.execute("UPDATE close_orders SET state = 'TERMINAL'")
    await connection.close()
    with pytest.raises(Conflict) as refused:
        await store.closes.cancel(account.user_id, order.close_id, NOW)
    assert refused.value.code == "already-sending"


async def test_cancelling_and_writing_ahead_at_once_lets_one_win(store: Store, epoch: int) -> None:
    account = await add_account(store)
    for _ in range(10):
        position = await add_position(store, account)
        accepted = await accept(store, position)
        await to_preflight(store, accepted.close_id)
        order = order_of(accepted.close_id, position, position.components[0])
        outcomes = await asyncio.gather(
            store.closes.cancel(account.user_id, accepted.close_id, NOW),
            write_ahead(store, order),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
        request = await store.closes.request(accepted.close_id)
        assert request is not None
        is_cancelled = request.state is RequestState.CANCELLED
        assert (await store.closes.orders([accepted.close_id]) == []) is is_cancelled


async def test_without_leadership_nothing_of_a_close_is_written(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    accepted = await accept(store, position)
    order = order_of(accepted.close_id, position, position.components[0])
    writes = (
        write_ahead(store, order),
        store.closes.move_requests(
            [accepted.close_id], RequestState.ACCEPTED, RequestState.WAITING
        ),
        store.closes.save_order(order),
        store.closes.extend([accepted.close_id], NOW + timedelta(days=1)),
        store.closes.book_nettings([]),
        end(store, accepted.close_id, new=RequestState.FAILED),
    )
    for write in writes:
        with pytest.raises(Conflict) as refused:
            await write
        assert refused.value.code == "not-leader"


async def test_the_journal_tells_of_a_close_from_acceptance_to_end(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    accepted = await accept(store, position)
    await end(store, accepted.close_id, legs=[flat(position.components[0])])
    events = await store.evidence.events_of(position.id, 10)
    assert [event.kind for event in events] == [
        "close-done",
        "close-accepted",
        "position-recorded",
    ]
    assert events[1].actor == "ann"
    assert events[0].data["legs"] == [
        {
            "component_id": str(position.components[0].id),
            "outcome": "flat",
            "filled": "1",
            "average_price": "110",
            "detail": "flat",
        }
    ]
