"""Resolve actions: each one transaction that leaves expected = actual, or changes nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    ComponentId,
    DeviationKind,
    Position,
    PositionId,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.orders import LegOutcome, LegResult, RequestState
from positiond.daemon.domain.records import DeviationRecord
from positiond.daemon.domain.resolving import Resolution, ResolveAction
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    accept,
    accepted,
    add_account,
    add_position,
    bucket_of,
    change,
    end,
    fill_of,
    leg,
    rebased,
    resolution,
    sent_order,
    spot,
)


async def deviate(store: Store, position: Position, *symbols: str) -> None:
    keys = [BucketKey(position.account_id, Category.LINEAR, symbol, 0) for symbol in symbols]
    records = [
        DeviationRecord(key, DeviationKind.MISSING, Decimal(1), Decimal(0), None) for key in keys
    ]
    await store.positions.write_verdicts([], records, [], position.opened_at)


async def test_a_rebased_leg_has_open_what_is_there_and_keeps_what_was_recorded(
    store: Store,
) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT"))
    await deviate(store, position, "BTCUSDT", "ETHUSDT")
    (resolved,) = await store.positions.resolve(rebased(position, "1", "0.4"))
    btc, eth = resolved.components
    assert (btc.quantity, btc.open, btc.recorded_quantity) == (Decimal("0.4"),) * 2 + (1,)
    assert eth == position.components[1]
    assert resolved.status is PositionStatus.ACTIVE
    assert await store.positions.load(position.id) == resolved
    assert [row.bucket.symbol for row in await store.evidence.open_deviations()] == ["ETHUSDT"]
    rows = await store.evidence.deviations_of(position.id, 9)
    assert {row.bucket.symbol: row.resolution for row in rows} == {
        "BTCUSDT": "rebase",
        "ETHUSDT": None,
    }


async def test_what_our_fills_closed_stays_closed_after_a_rebase(store: Store, epoch: int) -> None:
    position = await add_position(store, await add_account(store))
    order = await sent_order(store, position)
    await store.closes.add_fills(order, [fill_of(order, "a", "0.3")])
    await _end(store, position, order.close_id)
    (resolved,) = await store.positions.resolve(rebased(position, "0.7", "0.2"))
    (component,) = resolved.components
    assert (component.quantity, component.closed_quantity) == (Decimal("0.5"), Decimal("0.3"))
    assert component.open == Decimal("0.2")


async def test_an_accepted_difference_becomes_unassigned(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    await deviate(store, position, "BTCUSDT")
    await store.positions.resolve(accepted(position, "0", "0.5", "1.5"))
    assert await store.positions.unassigned() == {bucket_of(position): Decimal("0.5")}
    await store.positions.resolve(accepted(position, "0.5", "0", "1"))
    assert await store.positions.unassigned() == {}
    (row,) = await store.evidence.deviations_of(position.id, 9)
    assert (row.resolution, row.ended_at) == ("accept", position.opened_at + MINUTE)


async def test_a_position_of_which_nothing_is_open_any_more_is_closed(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT", Side.SELL, "2"))
    await deviate(store, position, "BTCUSDT", "ETHUSDT")
    btc, eth = position.components
    (half,) = await store.positions.resolve(
        resolution(
            position,
            ResolveAction.MARK_CLOSED,
            opens={btc.id: change("1", "0")},
            actual={bucket_of(position, btc): "0"},
        )
    )
    assert half.status is PositionStatus.ACTIVE
    (closed,) = await store.positions.resolve(
        resolution(
            position,
            ResolveAction.MARK_CLOSED,
            opens={eth.id: change("2", "0")},
            actual={bucket_of(position, eth): "0"},
        )
    )
    assert (closed.status, closed.closed_at) == (
        PositionStatus.CLOSED,
        position.opened_at + MINUTE,
    )
    assert (closed.is_altered, closed.unrealized_pnl) == (False, 0)
    assert [c.recorded_quantity for c in closed.components] == [1, 2]
    assert await store.positions.load_open() == []
    assert await store.evidence.open_deviations() == []
    events = await store.evidence.events_of(position.id, 4)
    assert [event.kind for event in events] == [
        "position-closed",
        "deviation-ended",
        "resolved",
        "deviation-ended",
    ]
    with pytest.raises(Conflict) as refused:
        await store.positions.resolve(rebased(position, "0", "0"))
    assert refused.value.code == "already-closed"


async def test_what_others_lack_in_the_bucket_stays_a_deviation_of_theirs(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"))
    other = await add_position(store, account, leg("BTCUSDT", Side.BUY, "2"))
    await deviate(store, position, "BTCUSDT")
    key = bucket_of(position)

    def gone(lacking: str | None) -> Resolution:
        return resolution(
            position,
            ResolveAction.MARK_CLOSED,
            opens={position.components[0].id: change("1", "0")},
            actual={key: "0"},
            lacking={key: lacking} if lacking else None,
        )

    for wrong in (None, "1"):
        with pytest.raises(Conflict) as refused:
            await store.positions.resolve(gone(wrong))
        assert refused.value.code == "changed-meanwhile"
    touched = await store.positions.resolve(gone("2"))
    assert {p.id: p.status for p in touched} == {
        position.id: PositionStatus.CLOSED,
        other.id: PositionStatus.ACTIVE,
    }
    (row,) = await store.evidence.open_deviations()
    assert (row.bucket, row.first_seen, row.resolution) == (key, position.opened_at, None)


async def test_the_journal_tells_who_resolved_what_from_which_quantity_to_which(
    store: Store,
) -> None:
    position = await add_position(store, await add_account(store))
    await deviate(store, position, "BTCUSDT")
    await store.positions.resolve(rebased(position, "1", "0.4"))
    ended, resolved = (await store.evidence.events_of(position.id, 9))[:2]
    assert (resolved.kind, resolved.actor) == ("resolved", "ann")
    assert resolved.data == {
        "action": "rebase",
        "components": [
            {"component_id": str(position.components[0].id), "before": "1", "after": "0.4"}
        ],
        "unassigned": [],
        "actual": [
            {"category": "linear", "symbol": "BTCUSDT", "position_idx": 0, "quantity": "0.4"}
        ],
    }
    assert (ended.kind, ended.actor, ended.data["resolution"]) == (
        "deviation-ended",
        "ann",
        "rebase",
    )


async def test_every_open_position_of_the_bucket_comes_back_and_no_other(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    sharing = await add_position(store, account, leg("BTCUSDT", Side.SELL, "0.5"), leg("ETHUSDT"))
    await add_position(store, account, leg("ETHUSDT"))
    await add_position(store, await add_account(store, "bob"))
    given = await store.positions.resolve(accepted(position, "0", "2", "2.5"))
    assert {p.id for p in given} == {position.id, sharing.id}


async def test_what_has_changed_meanwhile_is_refused_and_nothing_changes(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    await deviate(store, position, "BTCUSDT")
    before = (await store.positions.load(position.id), await store.evidence.open_deviations())
    key = bucket_of(position)
    stranger = ComponentId(uuid4())
    for refused in (
        rebased(position, "0.9", "0.4"),
        accepted(position, "0.1", "-1", "0"),
        # The quantities are what they were said to be, but they do not add up: somebody else
        # claims a part of the bucket by now.
        replace(rebased(position, "1", "0.4"), actual={key: Decimal("0.5")}),
        replace(rebased(position, "1", "0.4"), opens={stranger: change("1", "0")}),
    ):
        with pytest.raises(Conflict) as error:
            await store.positions.resolve(refused)
        assert error.value.code == "changed-meanwhile"
    after = (await store.positions.load(position.id), await store.evidence.open_deviations())
    assert after == before
    assert await store.positions.unassigned() == {}
    assert len(await store.evidence.events_of(position.id, 9)) == 2


async def test_a_position_recorded_in_the_bucket_meanwhile_is_a_change(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    stale = rebased(position, "1", "0.4")
    await add_position(store, account, leg("BTCUSDT", quantity="0.1"))
    with pytest.raises(Conflict) as refused:
        await store.positions.resolve(stale)
    assert refused.value.code == "changed-meanwhile"


async def test_a_component_of_another_position_is_never_touched(store: Store) -> None:
    account = await add_account(store)
    position, other = await add_position(store, account), await add_position(store, account)
    foreign = resolution(
        position,
        ResolveAction.REBASE,
        opens={other.components[0].id: change("1", "0")},
        # So that it would add up.
        actual={bucket_of(position): "1"},
    )
    with pytest.raises(Conflict) as refused:
        await store.positions.resolve(foreign)
    assert refused.value.code == "changed-meanwhile"
    assert await store.positions.load(other.id) == other


async def test_an_unknown_position_and_one_of_another_account_are_not_found(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    stranger = await add_account(store, "bob")
    for asked in (
        replace(rebased(position, "1", "0"), position_id=PositionId(uuid4())),
        replace(rebased(position, "1", "0"), account_id=AccountId(stranger.id)),
    ):
        with pytest.raises(NotFound):
            await store.positions.resolve(asked)


async def test_while_a_close_is_open_in_the_bucket_nothing_is_resolved(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    sharing = await add_position(store, account)
    elsewhere = await add_position(store, account, leg("ETHUSDT"))
    await accept(store, elsewhere)
    request = await accept(store, sharing)
    with pytest.raises(Conflict) as refused:
        await store.positions.resolve(accepted(position, "0", "1", "3"))
    assert refused.value.code == "close-open"
    await _end(store, sharing, request.close_id, RequestState.ACCEPTED)
    assert len(await store.positions.resolve(accepted(position, "0", "1", "3"))) == 2


async def test_in_hedge_mode_the_other_side_s_close_does_not_matter(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    await accept(store, await add_position(store, account, leg("BTCUSDT", Side.SELL)))
    key = bucket_of(position, idx=1)
    asked = resolution(
        position, ResolveAction.ACCEPT, unassigned={key: change("0", "2")}, actual={key: "3"}
    )
    assert [p.id for p in await store.positions.resolve(asked)] == [position.id]


async def test_a_spot_leg_is_resolved_in_its_coin(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, spot("BTCUSDT"))
    sharing = await add_position(store, account, spot("BTCUSDC"))
    other = await add_position(store, account, spot("ETHUSDT"))
    coins = {"BTCUSDT": "BTC", "BTCUSDC": "BTC", "ETHUSDT": "ETH"}
    await store.positions.set_coins(account.environment, coins)
    key = BucketKey(account.id, Category.SPOT, "BTC", 0)
    (leg_,) = position.components
    given = await store.positions.resolve(
        resolution(
            position,
            ResolveAction.REBASE,
            opens={leg_.id: change("1", "0.4")},
            # A wallet may hold more than is recorded.
            actual={key: "1.7"},
        )
    )
    assert {p.id for p in given} == {position.id, sharing.id}
    assert other.id not in {p.id for p in given}


async def _end(
    store: Store,
    position: Position,
    close_id: object,
    old: RequestState = RequestState.SENDING,
) -> None:
    (request,) = await store.closes.last_requests([position.id])
    assert request.id == close_id
    for order in await store.closes.orders([request.id]):
        await store.closes.save_order(replace(order, state=order.state.TERMINAL))
    residual = LegResult(
        position.components[0].id, LegOutcome.RESIDUAL, Decimal(0), None, "residual"
    )
    await end(
        store,
        request.id,
        old=old,
        new=RequestState.FAILED,
        code="residual",
        legs=[residual],
        now=position.opened_at,
    )
