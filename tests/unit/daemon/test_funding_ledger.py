import asyncio
from decimal import Decimal

import pytest
from positiond.daemon import funding_ledger
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.model import Booked
from positiond.daemon.domain.verdict import Reading

from ...builders import (
    ACCOUNT,
    ETH,
    LONG,
    NOON,
    SHORT,
    component,
    fill,
    holding,
    position,
    symbol_key,
)
from .fake_time import in_fake_time
from .payer import Fundings, paid

TWO = position(component("3", of="two"), name="two")
ONE = position(component("1", of="one"), name="one")


@in_fake_time
async def test_a_payment_is_split_by_the_share_of_the_bucket_and_paid_is_negative() -> None:
    fundings = Fundings()
    fundings.record(ONE, TWO, held="4")
    async with fundings.running():
        fundings.tell(paid("8", "4"))
        await asyncio.sleep(1)
        assert fundings.shares(ONE, TWO) == [Decimal(-2), Decimal(-6)]


@in_fake_time
async def test_what_was_received_is_positive() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.tell(paid("-0.5"))
        await asyncio.sleep(1)
        assert fundings.shares(ONE) == [Decimal("0.5")]


@in_fake_time
async def test_the_sums_are_shown_at_once_and_nothing_else_of_the_record_is_set_back() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    renamed = position(component("1", of="one"), name="one", is_altered=True)
    fundings.portfolio.positions[ONE.id] = renamed
    async with fundings.running():
        fundings.tell(paid("2"))
        await asyncio.sleep(0.5)
        (shown,) = fundings.put
        assert shown.booked == (Booked("USDT", funding=Decimal(-2)),)
        assert shown.is_altered


@in_fake_time
async def test_the_same_payment_told_twice_is_booked_once() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.tell(paid("2"), paid("2"))
        await asyncio.sleep(1)
        fundings.tell(paid("2"))
        await asyncio.sleep(1)
        assert len(fundings.memory.payments) == 1
        assert fundings.shares(ONE) == [Decimal(-2)]


@in_fake_time
async def test_a_trade_is_no_funding_and_a_symbol_that_nobody_holds_is_not_looked_up() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.tell(fill("1"), paid("1", symbol=ETH, exec_id="other"))
        await asyncio.sleep(1)
        assert fundings.memory.asked == []


@in_fake_time
async def test_the_traders_own_part_of_the_bucket_pays_for_itself() -> None:
    fundings = Fundings()
    fundings.record(ONE, held="4")
    fundings.portfolio.unassigned = {symbol_key().bucket(0): Decimal(3)}
    async with fundings.running():
        fundings.tell(paid("8", "4"))
        await asyncio.sleep(1)
        assert fundings.shares(ONE) == [Decimal(-2)]


@in_fake_time
async def test_in_hedge_mode_each_side_pays_for_itself() -> None:
    short = position(component("2", SHORT, of="short"), name="short")
    fundings = Fundings()
    fundings.record(ONE, short)
    fundings.read(holding("1", idx=1), holding("-2", idx=2))
    fundings.portfolio.unassigned = {symbol_key().bucket(2): Decimal(-2)}
    async with fundings.running():
        fundings.tell(paid("1", "1", LONG), paid("-4", "2", SHORT, exec_id="funding-2"))
        await asyncio.sleep(1)
        assert fundings.shares(ONE, short) == [Decimal(-1), Decimal(2)]


@in_fake_time
async def test_the_mode_is_asked_for_where_no_reading_tells_it() -> None:
    short = position(component("2", SHORT, of="short"), name="short")
    fundings = Fundings()
    fundings.record(ONE, short)
    fundings.portfolio.readings.clear()
    fundings.payer.held["BTCUSDT"] = [holding("1", idx=1), holding("-2", idx=2)]
    async with fundings.running():
        fundings.tell(paid("1"))
        await asyncio.sleep(1)
        assert fundings.shares(ONE, short) == [Decimal(-1), Decimal(0)]
        assert fundings.payer.urgent == [False]


@in_fake_time
async def test_a_payment_waits_for_the_close_that_is_at_work_in_its_symbol() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        async with fundings.locks.held((symbol_key(),)):
            fundings.tell(paid("2"))
            await asyncio.sleep(10)
            assert fundings.memory.payments == []
        await asyncio.sleep(1.1)
        assert fundings.shares(ONE) == [Decimal(-2)]


@in_fake_time
async def test_what_the_database_did_not_take_is_booked_when_it_is_back() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.memory.fails = True
        fundings.tell(paid("2"), paid("3", exec_id="funding-2"))
        await asyncio.sleep(120)
        fundings.memory.fails = False
        await asyncio.sleep(31)
        assert fundings.shares(ONE) == [Decimal(-5)]


@in_fake_time
async def test_one_payment_that_cannot_be_booked_does_not_keep_the_others() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    fundings.portfolio.readings.clear()
    del fundings.exchanges[ACCOUNT]
    eth = position(component("1", symbol=ETH, of="eth"), name="eth")
    fundings.portfolio.put(eth)
    fundings.store.positions[eth.id] = eth
    fundings.portfolio.readings[symbol_key(ETH)] = Reading((holding("1", ETH),), NOON)
    async with fundings.running():
        fundings.tell(paid("2"), paid("3", symbol=ETH, exec_id="funding-2"))
        await asyncio.sleep(0.2)
        assert fundings.shares(ONE, eth) == [Decimal(0), Decimal(-3)]


@in_fake_time
async def test_a_row_without_a_coin_was_paid_in_the_settle_coin() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.tell(paid("2", coin=""))
        await asyncio.sleep(1)
        assert [payment.coin for payment in fundings.memory.payments] == ["USDT"]


@in_fake_time
async def test_more_than_fits_the_queue_is_left_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding_ledger, "_MOST", 2)
    fundings = Fundings()
    fundings.record(ONE)
    rows = [paid("1", exec_id=f"funding-{number}") for number in range(3)]
    fundings.tell(*rows)
    fundings.payer.rows = rows
    async with fundings.running():
        await asyncio.sleep(2)
        assert fundings.shares(ONE) == [Decimal(-3)]


@in_fake_time
async def test_a_database_that_is_away_is_asked_for_one_payment_and_not_for_all() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    asked: list[str] = []

    async def away(*_: object) -> None:
        asked.append("claims")
        raise StoreUnavailable("store-unavailable", "connection lost")

    fundings.memory.funding_claims = away  # type: ignore[method-assign, assignment]  # the stub
    async with fundings.running():
        fundings.tell(*(paid("1", exec_id=f"funding-{number}") for number in range(100)))
        await asyncio.sleep(0.01)
        assert asked == ["claims"]
