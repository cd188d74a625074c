"""Recording through the API: the checks, what becomes unassigned, and closes at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable, InvalidInput, NotFound
from positiond.daemon.domain.events import FillSeen
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Instrument,
    NewComponent,
    NewPosition,
    Side,
    UserId,
    Verdict,
)
from positiond.daemon.domain.portfolio import AccountState

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    BTC,
    ETH,
    LONG,
    OTHER_ACCOUNT,
    SHORT,
    account,
    component,
    fill,
    symbol_key,
)
from .fake_time import in_fake_time, now
from .house import House
from .streams import KeyShelf

BUCKET = symbol_key(BTC).bucket(0)


def opened() -> tuple[House, KeyShelf]:
    """A house whose account is connected."""
    house, shelf = House(), KeyShelf()
    house.portfolio.accounts[ACCOUNT] = AccountState(account(), stream_up=True)
    house.exchanges[ACCOUNT] = shelf
    return house, shelf


def leg(quantity: str, side: Side = LONG, symbol: str = BTC) -> NewComponent:
    return NewComponent(Category.LINEAR, symbol, side, Decimal(quantity), Decimal(100))


def asked(*legs: NewComponent, name: str = "new", external_id: str | None = None) -> NewPosition:
    return NewPosition(ACCOUNT, name, external_id, legs or (leg("1"),))


@in_fake_time
async def test_where_its_side_of_a_hedge_is_left_out_nothing_is_recorded() -> None:
    house, shelf = opened()
    shelf.sizes[BTC], shelf.sides[BTC] = Decimal(-2), 2
    with pytest.raises(ExchangeUnreachable, match="no row for one side") as told:
        await house.recorder.record(ALICE, asked(leg("1")))
    assert told.value.code == "holdings-unread"
    assert (house.portfolio.positions, house.locks.busy) == ({}, set())
    await house.recorder.record(ALICE, asked(leg("1", SHORT)))


@in_fake_time
async def test_a_recorded_position_is_live_at_once_and_compared_soon() -> None:
    house, shelf = opened()
    shelf.sizes |= {BTC: Decimal(1), ETH: Decimal(-2)}
    view, is_new = await house.recorder.record(ALICE, asked(leg("1"), leg("2", SHORT, ETH)))
    assert (is_new, view.verdict) == (True, Verdict.UNVERIFIED)
    rechecks = asyncio.create_task(house.reconciler.run_rechecks())
    await asyncio.sleep(5)
    rechecks.cancel()
    assert house.board.live_view(view.position.id).verdict is Verdict.IN_SYNC
    assert house.locks.busy == set()


@in_fake_time
async def test_what_is_held_beyond_all_legs_is_recorded_as_unassigned() -> None:
    house, shelf = opened()
    house.tracker.put(house.write(component("1", of="first"), name="first"))
    shelf.sizes[BTC] = Decimal("4.5")
    await house.recorder.record(ALICE, asked(leg("2")))
    assert house.archive.beside == {BUCKET: Decimal("1.5")}
    assert house.portfolio.unassigned == {BUCKET: Decimal("1.5")}


@in_fake_time
async def test_an_open_deviation_is_kept_and_not_absorbed() -> None:
    house, shelf = opened()
    house.tracker.put(house.write(component("1", of="first"), name="first"))
    shelf.sizes[BTC] = Decimal(3)
    await house.reconciler.reconcile_all_positions()
    await house.recorder.record(ALICE, asked(leg("1")))
    assert house.archive.beside == {BUCKET: 0}


@in_fake_time
async def test_two_recordings_at_once_each_leave_their_own_unassigned_part() -> None:
    house, shelf = opened()
    shelf.sizes |= {BTC: Decimal(3), ETH: Decimal(5)}
    unassigned, pauses = house.archive.unassigned, [1.0, 0.0]

    async def late() -> Mapping[BucketKey, Decimal]:
        found = await unassigned()
        await asyncio.sleep(pauses.pop(0))
        return found

    house.archive.unassigned = late  # type: ignore[method-assign] # a pool's answers overtake
    async with asyncio.TaskGroup() as group:
        group.create_task(house.recorder.record(ALICE, asked(leg("1"))))
        await asyncio.sleep(0.5)
        group.create_task(house.recorder.record(ALICE, asked(leg("1", symbol=ETH), name="eth")))
    assert house.portfolio.unassigned == {BUCKET: 2, symbol_key(ETH).bucket(0): 4}


@pytest.mark.parametrize("is_read", [True, False])
@in_fake_time
async def test_a_deviation_of_one_side_of_a_hedge_is_not_one_of_the_other(is_read: bool) -> None:
    house, shelf = opened()
    house.tracker.put(house.write(component("1", of="first"), name="first"))
    shelf.sizes[BTC], shelf.sides[BTC] = Decimal(3), 1
    shelf.short_sides[BTC] = Decimal(5)
    await house.reconciler.reconcile_all_positions()
    assert set(house.portfolio.deviations) == {symbol_key(BTC).bucket(1)}
    if not is_read:
        house.portfolio.readings.clear()
    await house.recorder.record(ALICE, asked(leg("2", SHORT)))
    assert house.archive.beside == {symbol_key(BTC).bucket(2): -3}


@in_fake_time
async def test_a_flag_from_before_stands_for_a_deviation_that_was_not_read_yet() -> None:
    house, shelf = opened()
    first = house.write(component("1", of="first"), name="first")
    house.tracker.put(replace(first, is_altered=True))
    shelf.sizes[BTC] = Decimal(3)
    await house.recorder.record(ALICE, asked(leg("1")))
    assert house.archive.beside == {BUCKET: 0}


@in_fake_time
async def test_the_same_external_id_gives_the_first_one_and_changes_nothing() -> None:
    house, shelf = opened()
    shelf.sizes[BTC] = Decimal(1)
    first, _ = await house.recorder.record(ALICE, asked(external_id="x-1"))
    shelf.sizes[BTC] = Decimal(9)
    second, is_new = await house.recorder.record(ALICE, asked(name="again", external_id="x-1"))
    assert (second.position.id, is_new) == (first.position.id, False)
    assert house.archive.beside == {BUCKET: 0}


@in_fake_time
async def test_the_first_one_is_told_again_though_bybit_could_not_be_asked_any_more() -> None:
    house, shelf = opened()
    shelf.sizes[BTC] = Decimal(1)
    first, _ = await house.recorder.record(ALICE, asked(external_id="x-1"))
    house.exchanges.clear()
    async with house.locks.held([symbol_key(BTC)]):
        second, is_new = await house.recorder.record(ALICE, asked(external_id="x-1"))
    assert (second.position.id, is_new) == (first.position.id, False)


@pytest.mark.parametrize(("user", "where"), [(BOB, ACCOUNT), (ALICE, OTHER_ACCOUNT)])
@in_fake_time
async def test_a_foreign_account_is_an_unknown_one(user: UserId, where: AccountId) -> None:
    house, _ = opened()
    with pytest.raises(NotFound) as refusal:
        await house.recorder.record(user, replace(asked(), account_id=where))
    assert (refusal.value.code, refusal.value.field) == ("unknown-account", "account_id")


@in_fake_time
async def test_an_account_on_file_that_was_not_picked_up_yet_is_asked_for_again_later() -> None:
    house, _ = opened()
    del house.portfolio.accounts[ACCOUNT]
    with pytest.raises(ExchangeUnreachable) as refusal:
        await house.recorder.record(ALICE, asked())
    assert refusal.value.code == "account-not-connected"


@in_fake_time
async def test_a_bad_leg_is_refused_before_anything_is_asked_or_stored() -> None:
    house, shelf = opened()
    with pytest.raises(InvalidInput) as refusal:
        await house.recorder.record(ALICE, asked(leg("0.0001")))
    assert refusal.value.code == "quantity-off-step"
    assert (shelf.queries, house.archive.positions) == ([], {})


@pytest.mark.parametrize("trouble", ["failing", "silent"])
@in_fake_time
async def test_nothing_is_recorded_when_what_is_held_cannot_be_read(trouble: str) -> None:
    house, shelf = opened()
    getattr(shelf, trouble).add(BTC)
    with pytest.raises(ExchangeUnreachable):
        await house.recorder.record(ALICE, asked())
    assert (house.archive.positions, house.locks.busy) == ({}, set())


@in_fake_time
async def test_an_account_that_is_not_connected_says_why() -> None:
    house, _ = opened()
    house.exchanges.clear()
    house.portfolio.accounts[ACCOUNT].trouble = "Bybit refuses the API key"
    with pytest.raises(ExchangeUnreachable) as refusal:
        await house.recorder.record(ALICE, asked())
    assert refusal.value.code == "account-not-connected"
    assert "refuses the API key" in refusal.value.detail


@in_fake_time
async def test_an_account_without_an_exchange_is_told_before_anything_is_asked_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house, _ = opened()
    house.exchanges.clear()

    async def nowhere(*_: object) -> list[Instrument]:
        raise InvalidInput("no-hosts", "no address is configured for the environment paper")

    monkeypatch.setattr(house.door, "instruments", nowhere)
    with pytest.raises(ExchangeUnreachable) as refusal:
        await house.recorder.record(ALICE, asked())
    assert refusal.value.code == "account-not-connected"


@in_fake_time
async def test_a_recording_waits_for_a_close_in_its_bucket() -> None:
    house, shelf = opened()
    shelf.sizes[BTC] = Decimal(3)
    async with asyncio.TaskGroup() as group, house.locks.held([symbol_key(BTC)]):
        group.create_task(house.recorder.record(ALICE, asked()))
        await asyncio.sleep(9)
        assert shelf.queries == []
        shelf.sizes[BTC] = Decimal(1)
    assert house.archive.beside == {BUCKET: 0}


@in_fake_time
async def test_a_recording_does_not_wait_for_a_stuck_close() -> None:
    house, shelf = opened()
    async with house.locks.held([symbol_key(BTC)]):
        began = now()
        with pytest.raises(Conflict) as refusal:
            await house.recorder.record(ALICE, asked())
        assert refusal.value.code == "close-in-progress"
        assert now() - began == timedelta(seconds=10)
    assert (shelf.queries, house.archive.positions, house.locks.busy) == ([], {}, set())


@in_fake_time
async def test_a_row_from_before_the_last_fill_is_read_again() -> None:
    house, shelf = opened()
    shelf.sizes[BTC], shelf.seqs[BTC] = Decimal(9), 4
    house.reconciler.on_account(FillSeen(ACCOUNT, fill(seq=5, at=now())))

    def catches_up() -> None:
        shelf.sizes[BTC], shelf.seqs[BTC] = Decimal(3), 5

    asyncio.get_running_loop().call_later(2, catches_up)
    await house.recorder.record(ALICE, asked())
    assert house.archive.beside == {BUCKET: 2}


@in_fake_time
async def test_a_row_that_stays_behind_records_nothing() -> None:
    house, shelf = opened()
    shelf.sizes[BTC], shelf.seqs[BTC] = Decimal(9), 4
    house.reconciler.on_account(FillSeen(ACCOUNT, fill(seq=5, at=now())))
    began = now()
    with pytest.raises(ExchangeUnreachable):
        await house.recorder.record(ALICE, asked())
    # The symbol is locked all the while.
    assert now() - began < timedelta(seconds=8)
    assert house.archive.positions == {}


@in_fake_time
async def test_a_spot_leg_is_recorded_in_its_coin_and_beside_nothing() -> None:
    house, shelf = opened()
    shelf.sizes["BTC"], shelf.categories["BTC"] = Decimal(7), Category.SPOT
    spot = NewComponent(Category.SPOT, BTC, LONG, Decimal(2), Decimal(100))
    view, _ = await house.recorder.record(ALICE, asked(spot, leg("1", SHORT, ETH)))
    assert house.archive.beside == {symbol_key(ETH).bucket(0): 0}
    assert house.archive.coins == {BTC: "BTC"}
    assert view.position.components[0].coin == "BTC"
    assert house.portfolio.holders([SymbolKey(ACCOUNT, Category.SPOT, "BTC")])
