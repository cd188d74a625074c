import asyncio
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.domain.model import Category

from ...builders import ACCOUNT, BTC, NOON, after, component, fill, holding, position, symbol_key
from .fake_time import in_fake_time, now
from .payer import Fundings, paid

ONE = position(component("1", of="one"), name="one")
MINUTES = 60.0


@in_fake_time
async def test_a_connect_reads_from_ten_minutes_before_what_is_known() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    fundings.memory.read_until[ACCOUNT] = after(-3600)
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.payer.asked == [(Category.LINEAR, after(-4200))]
        assert fundings.memory.read_until[ACCOUNT] == NOON


@in_fake_time
async def test_an_account_never_read_is_read_from_its_oldest_position_on() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        await asyncio.sleep(240)
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.payer.asked == [(Category.LINEAR, NOON - timedelta(minutes=10))]


@in_fake_time
async def test_no_read_goes_back_more_than_seven_days() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    fundings.memory.read_until[ACCOUNT] = NOON - timedelta(days=30)
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        ((_, since),) = fundings.payer.asked
        assert since == NOON - timedelta(days=7)


@in_fake_time
async def test_what_the_stream_missed_is_booked_and_what_it_told_is_not_booked_again() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        told, missed = paid("2"), paid("3", exec_id="funding-2")
        fundings.tell(told)
        await asyncio.sleep(1)
        fundings.payer.rows = [told, missed]
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.shares(ONE) == [Decimal(-5)]
        assert len(fundings.memory.payments) == 2


@in_fake_time
async def test_every_account_is_read_at_five_past_the_hour() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        await asyncio.sleep(5 * MINUTES - 1)
        assert fundings.payer.asked == []
        await asyncio.sleep(3)
        assert len(fundings.payer.asked) == 1
        await asyncio.sleep(59 * MINUTES)
        assert len(fundings.payer.asked) == 1
        await asyncio.sleep(1 * MINUTES)
        assert len(fundings.payer.asked) == 2


@in_fake_time
async def test_a_read_that_failed_is_tried_again_and_notes_nothing_until_then() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    fundings.payer.fails = True
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(30)
        assert ACCOUNT not in fundings.memory.read_until
        fundings.payer.fails = False
        await asyncio.sleep(60)
        assert len(fundings.payer.asked) == 1
        assert ACCOUNT in fundings.memory.read_until


@in_fake_time
async def test_a_payment_that_waits_for_a_close_keeps_the_read_from_being_noted() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    fundings.payer.rows = [paid("2")]
    async with fundings.running():
        async with fundings.locks.held((symbol_key(),)):
            fundings.connect()
            await asyncio.sleep(5)
            assert ACCOUNT not in fundings.memory.read_until
        await asyncio.sleep(1.1)
        assert fundings.shares(ONE) == [Decimal(-2)]


@in_fake_time
async def test_a_symbol_that_bybit_lists_no_more_keeps_no_other_from_being_booked() -> None:
    fundings = Fundings()
    gone = position(component("1", symbol="GONEUSDT", of="gone"), name="gone")
    fundings.record(ONE, gone)
    fundings.payer.unlisted = {"GONEUSDT"}
    fundings.payer.rows = [paid("9", symbol="GONEUSDT"), paid("2", exec_id="funding-2")]
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(30)
        assert fundings.shares(ONE, gone) == [Decimal(-2), Decimal(0)]
        # Not known to be complete: it is asked for again, hour by hour.
        assert ACCOUNT not in fundings.memory.read_until
        assert len(fundings.payer.asked) == 1
        fundings.payer.unlisted, fundings.payer.held = set(), {"GONEUSDT": [holding("0")]}
        await asyncio.sleep(5 * MINUTES)
        assert fundings.shares(ONE, gone) == [Decimal(-2), Decimal(-9)]
        assert ACCOUNT in fundings.memory.read_until


@in_fake_time
async def test_what_was_paid_before_a_restart_is_read_though_nothing_is_held_any_more() -> None:
    fundings = Fundings()
    fundings.memory.read_until[ACCOUNT] = NOON
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        since = NOON - timedelta(minutes=10)
        assert fundings.payer.asked == [(Category.INVERSE, since), (Category.LINEAR, since)]


@in_fake_time
async def test_an_account_that_never_held_a_leg_is_not_read() -> None:
    fundings = Fundings()
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.payer.asked == []


@in_fake_time
async def test_options_and_coins_pay_no_funding_and_are_not_read() -> None:
    fundings = Fundings()
    legs = (
        component("1", symbol="BTC-27MAR26-70000-C", category=Category.OPTION, of="one"),
        component("1", symbol=BTC, category=Category.SPOT, of="one"),
    )
    fundings.record(position(*legs, name="one"))
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.payer.asked == []


@in_fake_time
async def test_the_category_of_a_position_that_closed_since_is_still_read() -> None:
    fundings = Fundings()
    fundings.record(ONE)
    async with fundings.running():
        fundings.connect()
        await asyncio.sleep(1)
        fundings.portfolio.drop(ONE.id)
        fundings.payer.held[BTC] = [holding("0")]
        fundings.payer.rows = [paid("2", at=now())]
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.shares(ONE) == [Decimal(-2)]


@in_fake_time
async def test_a_position_opened_and_closed_between_two_reads_is_not_overlooked() -> None:
    fundings = Fundings()
    fundings.memory.read_until[ACCOUNT] = NOON
    async with fundings.running():
        fundings.tell(fill())
        fundings.connect()
        await asyncio.sleep(1)
        assert fundings.payer.asked == [(Category.LINEAR, NOON - timedelta(minutes=10))]
