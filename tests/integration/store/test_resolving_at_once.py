"""Resolve actions beside whatever else happens in their buckets at the same time."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import asyncpg
from positiond.daemon.domain.errors import Conflict
from positiond.daemon.domain.model import BucketKey, Category, NewPosition
from positiond.daemon.domain.resolving import ResolveAction
from positiond.store.store import Store

from tests.builders_store import (
    accept,
    add_account,
    add_position,
    change,
    leg,
    rebased,
    resolution,
)


async def test_of_two_who_resolve_the_same_at_once_one_is_told_to_look_again(store: Store) -> None:
    account = await add_account(store)
    for _ in range(8):
        position = await add_position(store, account, leg("XRPUSDT"), leg("ETHUSDT"))
        outcomes = await asyncio.gather(
            store.positions.resolve(rebased(position, "1", "0.4")),
            store.positions.resolve(rebased(position, "1", "0.4")),
            return_exceptions=True,
        )
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert isinstance(refused, Conflict)
        assert refused.code == "changed-meanwhile"
        await store.positions.resolve(rebased(position, "0.4", "0"))


async def test_resolving_and_accepting_a_close_at_once_go_one_after_the_other(
    store: Store, epoch: int
) -> None:
    """Whichever is first: a close freezes what is open after the action, or forbids it."""
    account = await add_account(store)
    seen = set()
    for n in range(16):
        position = await add_position(store, account, leg(f"S{n}USDT"))
        calls = [
            store.positions.resolve(rebased(position, "1", "0.4")),
            accept(store, position),
        ]
        if n % 2:
            calls.reverse()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        (request,) = await store.closes.last_requests([position.id])
        refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        seen.add(len(refusals))
        if refusals:
            assert isinstance(refusals[0], Conflict)
            assert refusals[0].code == "close-open"
        expected = Decimal(1) if refusals else Decimal("0.4")
        assert list(request.open_at_acceptance.values()) == [expected]
    assert seen == {0, 1}


async def test_a_position_is_not_closed_twice_by_an_action_and_a_close(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    for n in range(8):
        position = await add_position(store, account, leg(f"S{n}USDT"))
        outcomes = await asyncio.gather(
            store.positions.resolve(rebased(position, "1", "0")),
            accept(store, position),
            return_exceptions=True,
        )
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert isinstance(refused, Conflict)
        assert refused.code in ("close-open", "already-closed")


async def test_dust_and_recorded_positions_beside_an_accepted_difference_do_not_deadlock(
    store: Store, epoch: int, postgres_url: str
) -> None:
    account = await add_account(store)
    symbols = [f"S{n}USDT" for n in range(4)]
    position = await add_position(store, account, *(leg(symbol) for symbol in symbols))
    keys = [BucketKey(account.id, Category.LINEAR, symbol, 0) for symbol in symbols]
    other = NewPosition(account.id, "b", None, (leg("XRPUSDT"),))
    recording = [
        store.positions.record(other, dict.fromkeys(keys[::-1], Decimal(0))) for _ in range(12)
    ]
    asked = resolution(
        position,
        ResolveAction.ACCEPT,
        unassigned=dict.fromkeys(keys, change("0", "0")),
        actual=dict.fromkeys(keys, "1"),
    )
    await asyncio.gather(*recording, *(store.positions.resolve(asked) for _ in range(12)))
    connection = await asyncpg.connect(postgres_url)
    count = await connection.fetchval("SELECT count(*) FROM events WHERE kind = 'resolved'")
    await connection.close()
    assert count == 12
