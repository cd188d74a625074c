"""Compares of what is not a linear contract: spot in its coin, inverse, options and their end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import ExchangeRefused
from positiond.daemon.domain.events import FillSeen, HoldingSeen, WalletSeen
from positiond.daemon.domain.model import Category, Holding, Position, Verdict
from positiond.daemon.domain.verdict import Reading

from ...builders import ACCOUNT, BTC, NOON, SHORT, component, fill, instrument, position, symbol_key
from .compares import Compares, serving
from .fake_time import in_fake_time, now
from .venue import Door

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED
OPTION = "BTC-1MAR26-100000-C-USDT"
FUTURE = "BTCUSDH26"


def spot(quantity: str = "2") -> Position:
    return position(replace(component(quantity, category=Category.SPOT), coin="BTC"))


# --- lists ----------------------------------------------------------------------------------


@in_fake_time
async def test_one_list_per_category_that_the_account_has_legs_in() -> None:
    stage = Compares()
    one = await stage.record(
        position(
            component("1"),
            replace(component("2", category=Category.SPOT), coin="BTC"),
            component("3", symbol="BTCUSD", category=Category.INVERSE),
            component("4", symbol="BTC-26DEC26-100000-C-USDT", category=Category.OPTION),
        )
    )
    began = now()
    await stage.sweep()
    assert stage.verdict(one) is IN_SYNC
    assert sorted(stage.shelf.lists) == ["USDT", "inverse", "option", "spot"]
    assert stage.shelf.queries == []
    # The lists of one account are asked for at once.
    assert now() - began < timedelta(seconds=0.03)


@in_fake_time
async def test_symbols_that_a_list_leaves_out_are_asked_a_few_at_a_time() -> None:
    stage = Compares()
    symbols = [f"S{n:02}USDT" for n in range(12)]
    for symbol in symbols:
        await stage.record(position(component("1", symbol=symbol, of=symbol), name=symbol))
    stage.shelf.left_out.update(symbols)
    stage.shelf.query_takes = 1
    began = now()
    await stage.sweep()
    assert sorted(stage.shelf.queries) == symbols
    assert stage.shelf.urgent == 0
    assert timedelta(seconds=3) <= now() - began < timedelta(seconds=4)


# --- spot -----------------------------------------------------------------------------------


@in_fake_time
async def test_a_coin_that_left_the_wallet_is_seen_by_the_wallet_stream() -> None:
    stage = Compares()
    one = await stage.record(spot())
    await stage.sweep()
    async with serving(stage):
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold("BTC", "1.5")))
        await asyncio.sleep(3)
    assert (stage.shelf.queries, stage.is_altered(one)) == (["BTC"], True)


@in_fake_time
async def test_a_coin_that_a_wallet_push_no_longer_names_is_asked_about() -> None:
    stage = Compares()
    one = await stage.record(spot())
    await stage.sweep()
    async with serving(stage):
        stage.reconciler.on_account(WalletSeen(ACCOUNT, frozenset({"BTC", "USDT"})))
        await asyncio.sleep(3)
        assert stage.shelf.queries == []
        stage.hold("BTC", "0")
        stage.reconciler.on_account(WalletSeen(ACCOUNT, frozenset({"USDT"})))
        await asyncio.sleep(3)
        assert (stage.shelf.queries, stage.is_altered(one)) == (["BTC"], True)
        # It is known to be gone now: further pushes without it tell nothing new.
        stage.reconciler.on_account(WalletSeen(ACCOUNT, frozenset({"USDT"})))
        await asyncio.sleep(3)
    assert stage.shelf.queries == ["BTC"]


@in_fake_time
async def test_a_spot_fill_asks_about_the_coin_and_not_about_the_pair() -> None:
    stage = Compares()
    await stage.record(spot())
    await stage.sweep()
    async with serving(stage):
        sold = replace(fill(at=now()), category=Category.SPOT)
        stage.reconciler.on_account(FillSeen(ACCOUNT, sold))
        await asyncio.sleep(3)
    assert stage.shelf.queries == ["BTC"]


@in_fake_time
async def test_a_wallet_read_right_after_a_fill_is_read_again() -> None:
    stage = Compares()
    one = await stage.record(spot())
    await stage.sweep()
    async with serving(stage):
        await asyncio.sleep(1)
        sold = replace(fill(at=now()), category=Category.SPOT)
        stage.in_flight.fills.note(ACCOUNT, sold)
        stage.reconciler.resync(ACCOUNT)
        await asyncio.sleep(0.1)
        stage.hold("BTC", "1")
        await asyncio.sleep(4)
    assert stage.is_altered(one)


@in_fake_time
async def test_a_coin_that_is_not_known_yet_is_not_asked_for() -> None:
    stage = Compares()
    one = await stage.record(position(component("2", category=Category.SPOT)), held=False)
    await stage.sweep()
    assert stage.verdict(one) is UNVERIFIED
    assert stage.reason(one) == "BTCUSDT: the instrument is not known yet"
    assert stage.shelf.queries == []


# --- contracts that end ---------------------------------------------------------------------


class Gone(Compares):
    """A venue that knows nothing of `symbol` any more, in one of its ways to say so."""

    def __init__(self, symbol: str, *, refuses: bool) -> None:
        super().__init__()
        self.shelf.silent.add(symbol)
        if refuses:

            async def holdings_in(
                category: Category, symbol: str, *, urgent: bool = True
            ) -> list[Holding]:
                raise ExchangeRefused("refused", "symbol invalid", ret_code=10001)

            self.shelf.holdings_in = holdings_in  # type: ignore[method-assign]  # one answer


@pytest.mark.parametrize("refuses", [True, False])
@in_fake_time
async def test_a_delivered_option_that_left_the_lists_counts_as_flat(refuses: bool) -> None:
    stage = Gone(OPTION, refuses=refuses)
    one = await stage.record(
        position(component("1", symbol=OPTION, category=Category.OPTION)), held=False
    )
    await stage.sweep()
    assert (stage.verdict(one), stage.is_altered(one)) == (ALTERED, True)


@pytest.mark.parametrize("refuses", [True, False])
@in_fake_time
async def test_an_option_that_lives_on_and_has_no_row_is_not_known(refuses: bool) -> None:
    living = "BTC-2MAR26-100000-C-USDT"
    stage = Gone(living, refuses=refuses)
    one = await stage.record(
        position(component("1", symbol=living, category=Category.OPTION)), held=False
    )
    await stage.sweep()
    assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)
    assert refuses == ("symbol invalid" in (stage.reason(one) or ""))


@in_fake_time
async def test_a_future_whose_delivery_was_heard_of_once_counts_as_flat_after_it() -> None:
    stage = Compares()
    door = Door()
    stage.catalogue._gateway = door
    rules = instrument(FUTURE, category=Category.INVERSE)
    door.rules[FUTURE] = replace(rules, delivery_at=NOON + timedelta(hours=1))
    stage.shelf.silent.add(FUTURE)
    one = await stage.record(
        position(component("1", symbol=FUTURE, category=Category.INVERSE)), held=False
    )
    await stage.sweep()
    assert stage.verdict(one) is UNVERIFIED
    await asyncio.sleep(3601)
    await stage.sweep()
    assert stage.verdict(one) is ALTERED


# --- rows that cannot be true, and another position mode -------------------------------------


@in_fake_time
async def test_rows_that_contradict_each_other_are_a_failure() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    row = stage.shelf.row(BTC)
    both = [row, replace(row, position_idx=1)]

    async def holdings(category: Category, *, settle_coin: str) -> list[Holding]:
        return both

    async def holdings_in(category: Category, symbol: str, *, urgent: bool = True) -> list[Holding]:
        return both

    stage.shelf.holdings = holdings  # type: ignore[method-assign]  # a confused venue
    stage.shelf.holdings_in = holdings_in  # type: ignore[method-assign]  # a confused venue
    await stage.sweep()
    assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)
    # A failure, so that it is asked for again soon.
    assert stage.portfolio.readings[symbol_key(BTC)].failure is not None
    assert "one-way and of hedge mode" in (stage.reason(one) or "")


@in_fake_time
async def test_a_switched_position_mode_is_doubted_at_once_and_read_at_once() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    other = await stage.record(position(component("1", SHORT, "ETHUSDT", of="o"), name="o"))
    await stage.sweep()
    stage.shelf.sides[BTC] = 1
    async with serving(stage):
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "1")))
        assert (stage.verdict(one), stage.verdict(other)) == (UNVERIFIED, IN_SYNC)
        assert stage.reason(one) == "the position mode of BTCUSDT changed; reading it again"
        await asyncio.sleep(0.1)
        assert (stage.shelf.queries, stage.verdict(one)) == ([BTC], IN_SYNC)


@pytest.mark.parametrize(
    ("exec_type", "asks"), [("Funding", 0), ("SessionSettlePnL", 0), ("NewKind", 1), ("", 1)]
)
@in_fake_time
async def test_an_execution_of_an_unknown_type_is_a_reason_to_look(
    exec_type: str, asks: int
) -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        odd = fill(exec_type=exec_type, changes_size=False)
        stage.reconciler.on_account(FillSeen(ACCOUNT, odd))
        await asyncio.sleep(15)
    assert len(stage.shelf.queries) == asks


@in_fake_time
async def test_a_reading_of_a_symbol_that_nobody_holds_any_more_is_not_kept() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.shelf.list_takes = 5
    sweep = asyncio.create_task(stage.sweep())
    await asyncio.sleep(1)
    stage.portfolio.drop(one.id)
    await sweep
    readings: dict[SymbolKey, Reading] = stage.portfolio.readings
    assert (readings, stage.archive.written) == ({}, [])
    assert symbol_key(BTC) not in readings
