import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import ExchangeUnreachable, NotFound, Throttled
from positiond.daemon.domain.model import Category, Component, Holding
from positiond.daemon.domain.verdict import Reading
from positiond.daemon.domain.views import Holdings

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    BTC,
    ETH,
    OTHER_ACCOUNT,
    SHORT,
    component,
    holding,
    position,
    symbol_key,
)
from .deskwork import PRICE, Deskwork
from .fake_time import in_fake_time, now


def rows_of(answer: Holdings) -> list[tuple[str, int, str, str, str, str]]:
    """Symbol, idx, total, tracked, unassigned, free."""
    return [
        (
            row.bucket.symbol,
            row.bucket.position_idx,
            format(row.total, "f"),
            format(row.tracked, "f"),
            format(row.unassigned, "f"),
            format(row.free, "f"),
        )
        for row in answer.holdings
    ]


def coin(name: str, size: str) -> Holding:
    return replace(holding(size, name), category=Category.SPOT, entry_price=None)


def spot(quantity: str, symbol: str = BTC, of: str = "carry") -> Component:
    leg = component(quantity, symbol=symbol, of=of, category=Category.SPOT)
    return replace(leg, coin=symbol.removesuffix("USDT"))


@in_fake_time
async def test_every_bucket_says_what_is_whose() -> None:
    work = Deskwork()
    work.record(position(component("1"), component("5", SHORT, ETH)))
    work.beside({symbol_key().bucket(0): Decimal("0.5")})
    work.wallet.rows = [holding("2"), holding("-5", ETH), holding("7", "SOLUSDT")]
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [
        (BTC, 0, "2", "1", "0.5", "0.5"),
        (ETH, 0, "-5", "-5", "0", "0"),
        ("SOLUSDT", 0, "7", "0", "0", "7"),
    ]
    assert [row.price for row in answer.holdings] == [PRICE, PRICE, None]
    assert (answer.read_at, answer.incomplete) == (now(), None)


@in_fake_time
async def test_what_is_recorded_and_not_held_is_shown_as_nothing() -> None:
    work = Deskwork()
    work.record(position(component("1")))
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [(BTC, 0, "0", "1", "0", "-1")]


@in_fake_time
async def test_a_list_that_failed_is_named_and_nothing_of_it_is_said_to_be_gone() -> None:
    work = Deskwork()
    work.record(position(component("1"), spot("2", of="pair")))
    work.wallet.rows = [holding("1")]
    work.wallet.failing = {Category.SPOT, Category.OPTION}
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [(BTC, 0, "1", "1", "0", "0")]
    assert answer.incomplete == "option: no answer; spot: no answer"


@in_fake_time
async def test_where_no_list_was_read_there_is_no_answer() -> None:
    work = Deskwork()
    work.wallet.failing = set(Category)
    with pytest.raises(ExchangeUnreachable):
        await work.desk.holdings(ALICE, ACCOUNT)


@in_fake_time
async def test_spot_is_told_by_coin_and_has_no_unassigned_part() -> None:
    work = Deskwork()
    work.record(position(spot("2"), name="carry"))
    work.wallet.rows = [coin("BTC", "3"), coin("USDT", "1000")]
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [
        ("BTC", 0, "3", "2", "0", "1"),
        ("USDT", 0, "1000", "0", "0", "1000"),
    ]
    assert answer.holdings[0].price == PRICE


@in_fake_time
async def test_in_hedge_mode_a_side_that_is_flat_is_known_from_the_last_reading() -> None:
    work = Deskwork()
    work.record(position(component("1", SHORT)))
    work.portfolio.readings[symbol_key()] = Reading(
        (holding("0", idx=1), holding("-1", idx=2)), now()
    )
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [(BTC, 2, "0", "-1", "0", "1")]


@in_fake_time
async def test_both_sides_of_a_hedge_are_rows_of_their_own() -> None:
    work = Deskwork()
    work.record(position(component("1")), position(component("2", SHORT, of="b"), name="b"))
    work.wallet.rows = [holding("1", idx=1), holding("-3", idx=2)]
    answer = await work.desk.holdings(ALICE, ACCOUNT)
    assert rows_of(answer) == [(BTC, 1, "1", "1", "0", "0"), (BTC, 2, "-3", "-2", "0", "-1")]


@in_fake_time
async def test_whoever_asks_again_within_two_seconds_gets_the_same_answer() -> None:
    work = Deskwork()
    first, second = await asyncio.gather(
        work.desk.holdings(ALICE, ACCOUNT), work.desk.holdings(ALICE, ACCOUNT)
    )
    assert second is first
    assert len(work.wallet.asked) == 5
    await asyncio.sleep(2.1)
    assert (await work.desk.holdings(ALICE, ACCOUNT)).read_at > first.read_at


@in_fake_time
async def test_others_accounts_and_unknown_ones_do_not_exist() -> None:
    work = Deskwork()
    for user, account in ((BOB, ACCOUNT), (ALICE, OTHER_ACCOUNT)):
        with pytest.raises(NotFound):
            await work.desk.holdings(user, account)
        with pytest.raises(NotFound):
            await work.desk.reconcile(user, account)
    assert work.resynced == []


@in_fake_time
async def test_an_account_that_is_not_connected_says_why() -> None:
    work = Deskwork()
    work.exchanges.clear()
    work.portfolio.accounts[ACCOUNT].trouble = "the key has expired"
    with pytest.raises(ExchangeUnreachable, match="expired"):
        await work.desk.holdings(ALICE, ACCOUNT)


@in_fake_time
async def test_a_full_compare_is_asked_for_at_most_every_ten_seconds() -> None:
    work = Deskwork()
    await work.desk.reconcile(ALICE, ACCOUNT)
    await asyncio.sleep(4)
    with pytest.raises(Throttled) as caught:
        await work.desk.reconcile(ALICE, ACCOUNT)
    assert caught.value.code == "reconciled-just-now"
    assert caught.value.retry_after == pytest.approx(6)
    await asyncio.sleep(6)
    await work.desk.reconcile(ALICE, ACCOUNT)
    assert work.resynced == [ACCOUNT, ACCOUNT]
