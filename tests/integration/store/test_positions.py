"""Recorded positions: stored as given, found again, judged and valued."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from positiond.daemon.domain.errors import InvalidInput, NotFound
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Environment,
    NewComponent,
    NewPosition,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.records import PnlWrite, PositionEdit, VerdictWrite
from positiond.store.store import Store

from tests.builders_store import MINUTE, NOW, accept, add_account, add_position, leg, spot


async def test_a_position_comes_back_as_it_was_recorded(store: Store) -> None:
    account = await add_account(store)
    bucket = BucketKey(account.id, Category.LINEAR, "BTCUSDT", 0)
    legs = (leg("ETHUSDT", Side.SELL, "2.50", "3000.10"), leg("BTCUSDT"))
    new = NewPosition(account.id, "pair", "ext-1", legs, note="n", tags=("a", "b"))
    position, is_new = await store.positions.record(new, {bucket: Decimal("-0.5")})
    assert is_new
    assert (position.name, position.external_id, position.note, position.tags) == (
        "pair",
        "ext-1",
        "n",
        ("a", "b"),
    )
    assert (position.user_id, position.environment) == (account.user_id, account.environment)
    assert position.status is PositionStatus.ACTIVE
    assert position.opened_at.utcoffset() == timedelta(0)
    recorded = [
        NewComponent(c.category, c.symbol, c.side, c.quantity, c.entry_price)
        for c in position.components
    ]
    assert tuple(recorded) == legs
    assert str(position.components[0].quantity) == "2.50"
    assert await store.positions.load(position.id) == position
    assert await store.positions.load_open() == [position]
    assert await store.positions.unassigned() == {bucket: Decimal("-0.5")}


async def test_a_position_whose_row_is_as_before_is_the_same_object_as_before(
    store: Store,
) -> None:
    account = await add_account(store)
    still, moved = [await add_position(store, account) for _ in range(2)]
    before = {p.id: p for p in await store.positions.load_open()}
    await store.positions.write_pnl([PnlWrite(moved.id, Decimal("1.5"), NOW)])
    after = {p.id: p for p in await store.positions.load_open()}
    assert after[still.id] is before[still.id]
    assert after[moved.id].unrealized_pnl == Decimal("1.5")
    assert before[moved.id].unrealized_pnl is None


async def test_the_same_external_id_gives_the_first_position_even_at_once(store: Store) -> None:
    account = await add_account(store)
    new = NewPosition(account.id, "pair", "ext-1", (leg("BTCUSDT"),))
    answers = await asyncio.gather(*(store.positions.record(new, {}) for _ in range(20)))
    assert len({position.id for position, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    assert await store.positions.recorded_as(account.id, "ext-1") == answers[0][0]
    assert await store.positions.recorded_as(account.id, "ext-2") is None
    other = await add_account(store, "bob")
    assert await store.positions.recorded_as(other.id, "ext-1") is None
    _, is_new = await store.positions.record(replace(new, account_id=other.id), {})
    assert is_new


async def test_what_cannot_be_recorded_is_refused_with_its_reason(store: Store) -> None:
    account = await add_account(store)
    good = NewPosition(account.id, "pair", None, (leg("BTCUSDT"),))
    spot_short = replace(leg("BTCUSDT", Side.SELL), category=Category.SPOT)
    for new, kind, code in (
        (replace(good, account_id=AccountId(uuid4())), NotFound, "unknown-account"),
        (replace(good, components=(leg("X"), leg("X"))), InvalidInput, "duplicate-component"),
        (replace(good, components=(spot_short,)), InvalidInput, "spot-short"),
        (replace(good, components=(leg("X", quantity="0"),)), InvalidInput, "invalid-value"),
        (replace(good, components=(leg("X", quantity="NaN"),)), InvalidInput, "invalid-value"),
        (replace(good, components=(leg("X", entry="-1"),)), InvalidInput, "invalid-value"),
        (replace(good, name="a\x00b"), InvalidInput, "invalid-value"),
        (replace(good, name=""), InvalidInput, "invalid-value"),
    ):
        with pytest.raises(kind) as refused:
            await store.positions.record(new, {})
        assert refused.value.code == code
    assert await store.positions.load_open() == []


async def test_claims_are_what_all_open_positions_hold_in_the_symbol(store: Store) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    first = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT"))
    second = await add_position(store, account, leg("BTCUSDT", Side.SELL))
    await add_position(store, other, leg("BTCUSDT"))
    bucket = BucketKey(account.id, Category.LINEAR, "BTCUSDT", 0)
    third = NewPosition(account.id, "c", None, (leg("XRPUSDT"),))
    await store.positions.record(third, {bucket: Decimal(3)})
    await accept(store, second)
    claims = await store.positions.claims(account.id, Category.LINEAR, "BTCUSDT")
    assert claims.components == (first.components[0], second.components[0])
    assert claims.unassigned == {0: Decimal(3)}


async def test_verdicts_set_flags_and_journal_each_change_once(store: Store) -> None:
    account = await add_account(store)
    position, calm = await add_position(store, account), await add_position(store, account)
    altered = [VerdictWrite(position.id, True, NOW), VerdictWrite(calm.id, False, NOW)]
    await store.positions.write_verdicts(altered, [], [], NOW)
    again = [replace(verdict, verified_at=NOW + MINUTE) for verdict in altered]
    await store.positions.write_verdicts(again, [], [], NOW + MINUTE)
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert (reloaded.is_altered, reloaded.verified_at) == (True, NOW + MINUTE)
    cleared = [VerdictWrite(position.id, False, NOW + 2 * MINUTE)]
    await store.positions.write_verdicts(cleared, [], [], NOW + 2 * MINUTE)
    events = await store.evidence.events_of(position.id, 9)
    assert [event.kind for event in events] == ["in-sync", "altered", "position-recorded"]
    assert len(await store.evidence.events_of(calm.id, 9)) == 1


async def test_an_older_compare_or_price_never_overwrites_a_newer_one(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    for seconds, altered, pnl in ((10, True, "5"), (5, False, "4")):
        at = NOW + timedelta(seconds=seconds)
        await store.positions.write_verdicts([VerdictWrite(position.id, altered, at)], [], [], at)
        await store.positions.write_pnl([PnlWrite(position.id, Decimal(pnl), at)])
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert (reloaded.is_altered, reloaded.unrealized_pnl) == (True, Decimal(5))
    assert reloaded.pnl_at == NOW + timedelta(seconds=10)


async def test_pnl_of_many_positions_is_written_to_the_last_digit(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(5)]
    values = [Decimal("0.000000000000000001"), Decimal("-12345678901234.5"), None, Decimal(0), 1]
    await store.positions.write_pnl(
        [
            PnlWrite(position.id, None if value is None else Decimal(value), NOW)
            for position, value in zip(positions, values, strict=True)
        ]
    )
    reloaded = {position.id: position for position in await store.positions.load_open()}
    assert [reloaded[position.id].unrealized_pnl for position in positions] == values
    await store.positions.write_pnl([])


async def test_writers_of_overlapping_rows_in_any_order_do_not_deadlock(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(12)]
    writes: list[Coroutine[object, object, object]] = []
    for n in range(10):
        at = NOW + n * MINUTE
        turned = positions if n % 2 else positions[::-1]
        writes.append(store.positions.write_pnl([PnlWrite(p.id, Decimal(n), at) for p in turned]))
        verdicts = [VerdictWrite(p.id, bool(n % 2), at) for p in turned[::-1]]
        writes.append(store.positions.write_verdicts(verdicts, [], [], at))
    await asyncio.gather(*writes)
    assert {p.unrealized_pnl for p in await store.positions.load_open()} == {Decimal(9)}


async def test_closed_positions_come_newest_first_for_their_user_only(
    store: Store, postgres_url: str
) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    positions = [await add_position(store, account) for _ in range(3)]
    positions.append(await add_position(store, other))
    connection = await asyncpg.connect(postgres_url)
    for n, position in enumerate(positions):
        await connection.execute(
            "UPDATE synthetic_positions SET status = 'CLOSED', closed_at = $2 WHERE id = $1",
            position.id,
            NOW + n * MINUTE,
        )
    await connection.close()
    newest = await store.positions.closed_of(account.user_id, None, 2)
    assert [position.id for position in newest] == [positions[2].id, positions[1].id]
    assert len(newest[0].components) == 1
    assert await store.positions.closed_of(account.user_id, other.id, 9) == []


async def test_spot_claims_are_by_coin_whatever_the_symbol(store: Store) -> None:
    account = await add_account(store)
    first = await add_position(store, account, spot("BTCUSDT"), leg("BTCUSDT"))
    second = await add_position(store, account, spot("BTCUSDC", "2"))
    await add_position(store, account, spot("ETHUSDT"))
    coins = {"BTCUSDT": "BTC", "BTCUSDC": "BTC", "ETHUSDT": "ETH"}
    await store.positions.set_coins(account.environment, coins)
    claims = await store.positions.claims(account.id, Category.SPOT, "BTC")
    assert [c.position_id for c in claims.components] == [first.id, second.id]
    assert {c.coin for c in claims.components} == {"BTC"}
    assert claims.unassigned == {}


async def test_while_a_spot_leg_s_coin_is_not_known_nobody_sizes_on_a_guess(store: Store) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    await add_position(store, account, spot("BTCUSDT"), leg("BTCUSDT"))
    await add_position(store, account, spot("ETHUSDT"))
    await add_position(store, other, spot("BTCUSDT"))
    await store.positions.set_coins(account.environment, {"BTCUSDT": "BTC"})
    claims = await store.positions.claims(account.id, Category.SPOT, "ETH")
    assert (claims.components, claims.doubtful) == ((), ("ETHUSDT",))
    assert "ETHUSDT" in claims.doubt
    # No pair of bitcoin has a symbol that begins like that.
    claims = await store.positions.claims(account.id, Category.SPOT, "BTC")
    assert ([c.coin for c in claims.components], claims.doubtful) == (["BTC"], ())
    claims = await store.positions.claims(account.id, Category.LINEAR, "BTCUSDT")
    assert (len(claims.components), claims.doubtful) == (1, ())


async def test_a_spot_leg_without_a_coin_stands_at_its_own_symbol(store: Store) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    astray = await add_position(store, account, spot("BTCUSDX"))
    await add_position(store, account, spot("BTCUSDT"))
    await add_position(store, other, spot("btcusdt"))
    await store.positions.set_coins(account.environment, {"BTCUSDT": "BTC"})
    claims = await store.positions.claims(account.id, Category.SPOT, "BTCUSDX")
    assert [c.position_id for c in claims.components] == [astray.id]
    assert claims.doubtful == ("BTCUSDX",)
    claims = await store.positions.claims(account.id, Category.SPOT, "BTC")
    assert ([c.symbol for c in claims.components], claims.doubt) == (
        ["BTCUSDT"],
        "the coin of BTCUSDX is not known yet",
    )
    # Mistyped in small letters it is a doubt all the same.
    assert (await store.positions.claims(other.id, Category.SPOT, "BTC")).doubtful == ("btcusdt",)


async def test_coins_are_noted_on_spot_legs_of_their_environment_that_lack_them(
    store: Store, postgres_url: str
) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE accounts SET environment = 'testnet' WHERE id = $1", other.id)
    await connection.close()
    ours = await add_position(store, account, spot("BTCUSDT"), leg("BTCUSDT"), spot("XUSDT"))
    theirs = await add_position(store, other, spot("BTCUSDT"))
    await store.positions.set_coins(Environment.PAPER, {"BTCUSDT": "BTC"})
    await store.positions.set_coins(Environment.PAPER, {"BTCUSDT": "WRONG", "XUSDT": "X"})
    await store.positions.set_coins(Environment.PAPER, {})
    reloaded = {p.id: [c.coin for c in p.components] for p in await store.positions.load_open()}
    assert reloaded == {ours.id: ["BTC", None, "X"], theirs.id: [None]}


async def test_labels_are_edited_by_their_user_alone_and_journalled(store: Store) -> None:
    account, stranger = await add_account(store), await add_account(store, "bob")
    position = await add_position(store, account)
    change = PositionEdit(name="other", tags=("a",))
    edited = await store.positions.edit(position.id, account.user_id, change, NOW)
    assert edited == replace(position, name="other", tags=("a",))
    assert await store.positions.load(position.id) == edited
    again = await store.positions.edit(position.id, account.user_id, change, NOW)
    assert again == edited
    await store.positions.edit(position.id, account.user_id, PositionEdit(note="n"), NOW)
    events = await store.evidence.events_of(position.id, 9)
    assert [event.kind for event in events] == [
        "position-edited",
        "position-edited",
        "position-recorded",
    ]
    assert (events[1].actor, events[1].data) == (
        "ann",
        {
            "name": {"before": "a pair", "after": "other"},
            "tags": {"before": [], "after": ["a"]},
        },
    )
    for user_id, asked in ((stranger.user_id, change), (account.user_id, PositionEdit(name=""))):
        with pytest.raises((NotFound, InvalidInput)):
            await store.positions.edit(position.id, user_id, asked, NOW)
