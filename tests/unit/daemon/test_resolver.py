import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable, NotFound, PositiondError
from positiond.daemon.domain.model import Category, ComponentId, Position, PositionStatus, Verdict
from positiond.daemon.domain.records import PositionEdit
from positiond.daemon.domain.resolving import ResolveAction
from positiond.daemon.domain.verdict import Reading
from positiond.daemon.size_reader import LAGS

from ...builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    NOON,
    SHORT,
    component,
    holding,
    position,
    symbol_key,
    uuid_of,
)
from .deskwork import Deskwork
from .fake_time import in_fake_time, now

T = TypeVar("T")
ACCEPT, REBASE, GONE = ResolveAction.ACCEPT, ResolveAction.REBASE, ResolveAction.MARK_CLOSED
PAIR = position(component("1"), component("5", SHORT, ETH))
OTHER = position(component("1", of="other"), name="other")


def altered(*positions: Position, btc: str = "0.6") -> Deskwork:
    """Bybit holds less BTC than the pair has recorded, and all of its ETH."""
    work = Deskwork()
    work.record(*(positions or (PAIR,)))
    work.sizes = {BTC: Decimal(btc), ETH: Decimal(-5)}
    return work


async def code_of(work: Awaitable[object], kind: type[PositiondError]) -> str:
    with pytest.raises(kind) as caught:
        await work
    return caught.value.code


@in_fake_time
async def test_a_rebase_leaves_the_leg_as_bybit_holds_it_and_the_answer_in_sync() -> None:
    work = altered()
    view = await work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert [leg.component.open for leg in view.legs] == [Decimal("0.6"), Decimal(5)]
    assert view.verdict is Verdict.IN_SYNC
    (resolution,) = work.register.resolved
    assert (resolution.actor, resolution.at) == (ALICE, now())
    assert resolution.actual == {symbol_key().bucket(0): Decimal("0.6")}


@in_fake_time
async def test_an_accepted_surplus_is_unassigned_in_memory_before_the_compare() -> None:
    work = altered(btc="1.5")
    view = await work.resolver.resolve(ALICE, PAIR.id, ACCEPT, None)
    assert work.portfolio.unassigned == {symbol_key().bucket(0): Decimal("0.5")}
    assert view.verdict is Verdict.IN_SYNC


@in_fake_time
async def test_the_compare_runs_with_the_symbols_still_locked() -> None:
    work = altered()
    await work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert work.settled == [frozenset({symbol_key(), symbol_key(ETH)})]
    assert work.locked_while_settling == [True]
    assert not work.locks.busy


@in_fake_time
async def test_a_named_leg_is_resolved_alone() -> None:
    work = altered()
    work.sizes[ETH] = Decimal(-4)
    eth = PAIR.components[1].id
    view = await work.resolver.resolve(ALICE, PAIR.id, REBASE, eth)
    assert [leg.component.open for leg in view.legs] == [Decimal(1), Decimal(4)]
    assert work.settled == [frozenset({symbol_key(ETH)})]


@in_fake_time
async def test_a_position_of_which_nothing_is_left_is_closed() -> None:
    one = position(component("1"), name="pair")
    work = altered(one, btc="0")
    view = await work.resolver.resolve(ALICE, one.id, GONE, None)
    assert view.position.status is PositionStatus.CLOSED
    assert one.id not in work.portfolio.positions


@in_fake_time
async def test_nobody_resolves_during_a_close_in_the_bucket_not_even_of_another_position() -> None:
    work = altered(PAIR, replace(OTHER, status=PositionStatus.CLOSING), btc="1.6")
    async with work.locks.held((symbol_key(),)):
        resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
        assert await code_of(resolving, Conflict) == "close-open"
        assert now() == NOON, "there is nothing to wait for"
    assert work.register.resolved == []


@in_fake_time
async def test_a_close_accepted_while_the_locks_were_waited_for_is_seen() -> None:
    work = altered()
    async with work.locks.held((symbol_key(),)):
        resolving = asyncio.create_task(work.resolver.resolve(ALICE, PAIR.id, REBASE, None))
        await asyncio.sleep(1)
        work.portfolio.put(replace(PAIR, status=PositionStatus.CLOSING))
    assert await code_of(resolving, Conflict) == "close-open"


@in_fake_time
async def test_locks_are_waited_for_five_seconds_and_then_let_alone() -> None:
    work = altered()
    async with work.locks.held((symbol_key(ETH),)):
        resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
        assert await code_of(resolving, Conflict) == "close-open"
        assert now() < NOON.replace(second=6)
        assert work.locks.busy == {symbol_key(ETH)}
    assert not work.locks.busy


@in_fake_time
async def test_without_an_answer_from_bybit_nothing_is_decided() -> None:
    work = altered()
    work.failures = [{BTC: Reading((), NOON, "timed out")}]
    resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert await code_of(resolving, ExchangeUnreachable) == "exchange-unreachable"
    assert work.register.resolved == []


@in_fake_time
async def test_rows_that_contradict_one_another_are_read_again() -> None:
    work = altered()
    odd = {BTC: Reading((holding("1"),), NOON, "contradictory")}
    work.failures = [odd, odd]
    view = await work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert view.legs[0].component.open == Decimal("0.6")


@in_fake_time
async def test_rows_that_a_read_has_waited_for_in_vain_are_no_evidence() -> None:
    work = altered()
    work.failures = [{BTC: Reading((holding("1"),), NOON, LAGS)}, {}]
    resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert await code_of(resolving, Conflict) == "unverified"
    assert len(work.failures) == 1


@in_fake_time
async def test_rows_that_go_on_contradicting_one_another_are_no_evidence() -> None:
    work = altered()
    work.failures = [{BTC: Reading((holding("1"),), NOON, "contradictory")}] * 9
    resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert await code_of(resolving, Conflict) == "unverified"
    assert work.register.resolved == []


@in_fake_time
async def test_rows_that_memory_does_not_know_yet_stop_it() -> None:
    work = altered()
    work.register.positions[OTHER.id] = OTHER
    resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert await code_of(resolving, Conflict) == "changed-meanwhile"
    assert work.register.resolved == []


@in_fake_time
async def test_what_is_not_there_or_not_ones_own_is_unknown() -> None:
    work = altered()
    nobody = ComponentId(uuid_of("nobody"))
    assert await code_of(work.resolver.resolve(BOB, PAIR.id, REBASE, None), NotFound) == (
        "unknown-position"
    )
    assert await code_of(work.resolver.resolve(ALICE, OTHER.id, REBASE, None), NotFound) == (
        "unknown-position"
    )
    assert await code_of(work.resolver.resolve(ALICE, PAIR.id, REBASE, nobody), NotFound) == (
        "unknown-component"
    )


@in_fake_time
async def test_a_closed_position_and_one_in_order_have_nothing_to_resolve() -> None:
    work = altered(btc="1")
    work.register.positions[OTHER.id] = replace(OTHER, status=PositionStatus.CLOSED)
    assert await code_of(work.resolver.resolve(ALICE, OTHER.id, REBASE, None), Conflict) == (
        "already-closed"
    )
    assert await code_of(work.resolver.resolve(ALICE, PAIR.id, REBASE, None), Conflict) == (
        "nothing-to-resolve"
    )


@in_fake_time
async def test_a_new_name_is_shown_without_setting_back_what_else_is_known() -> None:
    work = altered()
    work.portfolio.put(replace(PAIR, status=PositionStatus.CLOSING))
    view = await work.resolver.edit(ALICE, PAIR.id, PositionEdit(name="carry"))
    assert (view.position.name, view.position.status) == ("carry", PositionStatus.CLOSING)


@in_fake_time
async def test_a_leg_that_may_claim_the_coin_stops_it() -> None:
    coin = replace(component("1", category=Category.SPOT), coin="BTC")
    astray = replace(
        component("1", symbol="BTCUSDX", category=Category.SPOT, of="other"), coin=None
    )
    work = altered(position(coin))
    work.sizes = {"BTC": Decimal("0.6")}
    work.record(position(astray, name="other"))
    resolving = work.resolver.resolve(ALICE, PAIR.id, REBASE, None)
    assert await code_of(resolving, Conflict) == "coin-unknown"
