"""Gathering evidence: the stream first, Bybit's lists where it was down, never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from positiond.daemon.catalogue import Catalogue
from positiond.daemon.cause_finder import CauseFinder
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.errors import ExchangeUnreachable, StoreUnavailable
from positiond.daemon.domain.events import AccountFeedDown, AccountFeedUp, FillSeen
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Component,
    Delivery,
    Fill,
    Instrument,
    Position,
    PositionId,
)
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.ports import AccountExchange, Evidence, Gateway
from positiond.daemon.domain.verdict import Deviation, kind_of

from ...builders import (
    ACCOUNT,
    BTC,
    LONG,
    NOON,
    SHORT,
    account,
    after,
    component,
    fill,
    instrument,
    key_of,
    position,
    uuid_of,
)
from .fake_time import in_fake_time, now, timing

D = Decimal
BUCKET = BucketKey(ACCOUNT, Category.LINEAR, BTC, 0)
OPTION = "BTC-1MAR26-60000-C"


class Lists:
    """What Bybit's lists tell; counts who asks, and may be slow or down."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.deliveries: list[Delivery] = []
        self.asked: list[tuple[str, datetime]] = []
        self.asked_deliveries: list[str] = []
        self.takes = 0.01
        self.fails = False

    async def fills_since(
        self,
        category: Category,
        since: datetime,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        urgent: bool = False,
    ) -> list[Fill]:
        self.asked.append((symbol or "", since))
        await asyncio.sleep(self.takes)
        if self.fails:
            raise ExchangeUnreachable("timeout", "no answer")
        return [
            one
            for one in self.fills
            if symbol in (None, one.symbol)
            and one.category is category
            and one.executed_at >= since
        ]

    async def deliveries_since(
        self, category: Category, symbol: str, since: datetime
    ) -> list[Delivery]:
        self.asked_deliveries.append(symbol)
        return self.deliveries


class Owners:
    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.fails = False

    async def owners_of(self, link_ids: Sequence[str]) -> Mapping[str, tuple[PositionId, str]]:
        if self.fails:
            raise StoreUnavailable("store-unavailable", "connection lost")
        return {
            one: (PositionId(uuid_of(name)), name)
            for one in link_ids
            if (name := self.names.get(one))
        }


class Shop:
    """A Gateway as far as trading rules."""

    def __init__(self, *known: Instrument) -> None:
        self.known = known

    async def instruments(self, *_: object, **__: object) -> list[Instrument]:
        return list(self.known)


class Case:
    """One account with one connection; its stream is up from NOON on."""

    def __init__(self, *legs: Component) -> None:
        self.lists, self.owners, self.portfolio = Lists(), Owners(), Portfolio()
        self.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.position: Position = position(*(legs or (component(of="pair"),)))
        self.portfolio.put(self.position)
        self.exchanges: dict[AccountId, AccountExchange] = {
            ACCOUNT: cast(AccountExchange, self.lists)
        }
        self.shop = Shop(instrument())
        self.catalogue = Catalogue(cast(Gateway, self.shop), now)
        self.finder = CauseFinder(
            self.portfolio,
            self.exchanges,
            cast(Evidence, self.owners),
            self.catalogue,
            timing(),
        )
        self.up()

    def hold(self, one: Position) -> None:
        """As the daemon finds it when it starts."""
        self.portfolio.drop(one.id)
        self.portfolio.put(one)

    def up(self) -> None:
        self.finder.on_account(AccountFeedUp(ACCOUNT))

    def down(self) -> None:
        self.finder.on_account(AccountFeedDown(ACCOUNT, "gone"))

    def hear(self, *fills: Fill) -> None:
        for one in fills:
            self.finder.on_account(FillSeen(ACCOUNT, one))

    def in_order(self, bucket: BucketKey = BUCKET) -> None:
        self.finder.note_in_order((bucket,), now())

    async def cause(self, off: Deviation) -> Cause | None:
        return (await self.finder.explain(ACCOUNT, (off,))).get(off.bucket)

    def record(self, off: Deviation, cause: Cause | None) -> None:
        """As the reconciler does after it stored the deviation."""
        self.portfolio.deviations[off.bucket] = DeviationRow(
            1, off.bucket, off.kind, off.expected, off.actual, now(), now(), None, cause, None
        )


def deviation(expected: str, actual: str, bucket: BucketKey = BUCKET) -> Deviation:
    return Deviation(bucket, kind_of(D(expected), D(actual)), D(expected), D(actual))


def hand(quantity: str = "0.4", at: float = 1, name: str = "hand", symbol: str = BTC) -> Fill:
    return fill(quantity, SHORT, symbol, exec_id=name, link_id="", at=after(at))


@in_fake_time
async def test_what_the_stream_told_explains_without_a_request() -> None:
    case = Case()
    await case.catalogue.instrument(key_of(BTC))
    case.in_order()
    await asyncio.sleep(1)
    case.hear(hand())
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert cause.kind is CauseKind.BY_HAND
    assert cause.text.startswith("Long leg reduced by hand at 12:00:01 UTC, 0.4 BTC at 110")
    assert not cause.while_away
    assert case.lists.asked == []


@in_fake_time
async def test_what_the_stream_did_not_tell_is_asked_for() -> None:
    case = Case()
    await asyncio.sleep(10)
    case.in_order()
    case.lists.fills = [hand(at=12)]
    await asyncio.sleep(5)
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert (cause.kind, cause.while_away) == (CauseKind.BY_HAND, False)
    assert case.lists.asked == [(BTC, after(5))]


@in_fake_time
async def test_a_stream_that_was_down_is_not_trusted_to_have_told_all() -> None:
    case = Case()
    await asyncio.sleep(100)
    case.in_order()
    case.hear(hand(at=101, name="heard"))
    case.down()
    await asyncio.sleep(50)
    case.up()
    unheard = replace(hand(at=120, name="unheard"), exec_type="AdlTrade")
    case.lists.fills = [hand(at=101, name="heard"), unheard]
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert (cause.kind, cause.while_away) == (CauseKind.ADL, True)
    assert cause.text.startswith("While we were away: ")


@in_fake_time
async def test_what_was_heard_just_before_the_stream_broke_was_not_missed() -> None:
    case = Case()
    await asyncio.sleep(100)
    case.in_order()
    case.hear(hand(at=101))
    await asyncio.sleep(5)
    case.down()
    case.lists.fills = [hand(at=101)]
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert (cause.kind, cause.while_away) == (CauseKind.BY_HAND, False)


@in_fake_time
async def test_after_a_start_the_search_begins_where_the_position_was_last_in_order() -> None:
    case = Case()
    verified = replace(case.position, verified_at=after(-300))
    case.hold(verified)
    case.lists.fills = [hand(at=-200)]
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert cause.while_away
    assert case.lists.asked == [(BTC, after(-305))]


@in_fake_time
async def test_an_altered_position_is_no_proof_of_order() -> None:
    case = Case()
    altered = replace(case.position, verified_at=after(-1), is_altered=True, opened_at=after(-7200))
    case.hold(altered)
    case.lists.fills = [hand(at=-3600)]
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert cause.kind is CauseKind.BY_HAND
    assert case.lists.asked == [(BTC, after(-7205))]


@in_fake_time
async def test_the_search_never_goes_back_further_than_bybit_tells() -> None:
    case = Case()
    old = replace(case.position, opened_at=NOON - timedelta(days=90))
    case.hold(old)
    cause = await case.cause(deviation("1", "0.6"))
    assert case.lists.asked == [(BTC, NOON - timedelta(days=7, seconds=5))]
    assert cause is not None
    assert "2026-02-22 12:00:00 UTC, as far back as Bybit tells" in cause.text


@in_fake_time
async def test_a_cause_on_record_is_not_looked_for_again() -> None:
    case = Case()
    off = deviation("1", "0.6")
    case.in_order()
    case.hear(hand())
    case.record(off, await case.cause(off))
    assert await case.finder.explain(ACCOUNT, (off,)) == {}


@in_fake_time
async def test_a_difference_that_changed_is_explained_anew() -> None:
    case = Case()
    case.in_order()
    case.hear(hand())
    case.record(deviation("1", "0.6"), await case.cause(deviation("1", "0.6")))
    case.hear(replace(hand("0.1", at=2, name="adl"), exec_type="AdlTrade"))
    cause = await case.cause(deviation("1", "0.5"))
    assert cause is not None
    assert cause.kind is CauseKind.SEVERAL
    assert cause.quantity == D("0.5")


@in_fake_time
async def test_after_a_restart_only_the_change_is_looked_for() -> None:
    case = Case()
    case.record(deviation("1", "0.6"), Cause(CauseKind.ADL, "by ADL", D("0.4"), D(100), NOON))
    await asyncio.sleep(60)
    case.lists.fills = [hand("0.1", at=30)]
    cause = await case.cause(deviation("1", "0.5"))
    assert cause is not None
    assert cause.kind is CauseKind.SEVERAL
    assert cause.text.startswith("by ADL; later: Long leg reduced by hand")
    assert case.lists.asked == [(BTC, after(-5))]


@in_fake_time
async def test_the_unexplained_is_looked_for_again_for_ten_minutes() -> None:
    case = Case()
    case.in_order()
    off = deviation("1", "0.6")
    first = await case.cause(off)
    assert first is not None
    assert first.kind is CauseKind.UNKNOWN
    case.record(off, first)
    await asyncio.sleep(300)
    case.record(off, await case.cause(off))
    assert len(case.lists.asked) == 2
    await asyncio.sleep(301)
    assert await case.finder.explain(ACCOUNT, (off,)) == {}
    assert len(case.lists.asked) == 2


@in_fake_time
async def test_a_list_that_lags_tells_the_cause_with_a_later_compare() -> None:
    case = Case()
    case.in_order()
    off = deviation("1", "0.6")
    case.record(off, await case.cause(off))
    await asyncio.sleep(30)
    case.lists.fills = [hand()]
    cause = await case.cause(off)
    assert cause is not None
    assert cause.kind is CauseKind.BY_HAND


@in_fake_time
async def test_no_answer_leaves_the_cause_out_and_raises_nothing() -> None:
    case = Case()
    case.lists.fails = True
    off = deviation("1", "0.6")
    assert await case.cause(off) is None
    case.record(off, None)
    case.lists.fails = False
    case.lists.fills = [hand()]
    await asyncio.sleep(3600)
    assert await case.cause(off) is not None


@in_fake_time
async def test_an_account_without_a_connection_leaves_the_cause_out() -> None:
    case = Case()
    case.exchanges.clear()
    assert await case.cause(deviation("1", "0.6")) is None


@in_fake_time
async def test_a_store_that_is_away_leaves_the_cause_out() -> None:
    case = Case()
    case.owners.fails = True
    case.in_order()
    case.hear(replace(hand(), link_id="pd-1"))
    assert await case.cause(deviation("1", "0.6")) is None


@in_fake_time
async def test_the_search_ends_with_its_deadline_and_keeps_what_it_has() -> None:
    eth = BucketKey(ACCOUNT, Category.LINEAR, "ETHUSDT", 0)
    case = Case(component(), component(symbol="ETHUSDT"))
    case.in_order()
    case.hear(hand())
    case.lists.takes = 60
    began = now()
    found = await case.finder.explain(ACCOUNT, (deviation("1", "0.6"), deviation("1", "0.6", eth)))
    assert now() - began == timedelta(seconds=1.5)
    assert list(found) == [BUCKET]


@in_fake_time
async def test_the_order_of_another_position_is_named() -> None:
    case = Case()
    case.owners.names["pd-1"] = "carry"
    case.in_order()
    case.hear(replace(hand(), link_id="pd-1"))
    cause = await case.cause(deviation("1", "0.6"))
    assert cause is not None
    assert cause.kind is CauseKind.OTHER_POSITION
    assert "“carry”" in cause.text


def option_case() -> tuple[Case, BucketKey]:
    leg = component(symbol=OPTION, category=Category.OPTION)
    return Case(leg), BucketKey(ACCOUNT, Category.OPTION, OPTION, 0)


@in_fake_time
async def test_an_expired_option_is_looked_up_in_the_delivery_record() -> None:
    case, bucket = option_case()
    case.shop.known = (
        replace(
            instrument(OPTION, category=Category.OPTION),
            base_coin="BTC",
            delivery_at=after(5),
        ),
    )
    await case.catalogue.instrument(key_of(OPTION, Category.OPTION))
    case.in_order(bucket)
    await asyncio.sleep(10)
    off = deviation("1", "0", bucket)
    waiting = await case.cause(off)
    assert waiting is not None
    assert "it expired at 12:00:05 UTC" in waiting.text
    case.record(off, waiting)
    case.lists.deliveries = [Delivery(Category.OPTION, OPTION, LONG, D(1), D(64000), after(5))]
    cause = await case.cause(off)
    assert cause is not None
    assert cause.text == "Long leg delivered at 12:00:05 UTC, 1 BTC at 64000"


@in_fake_time
async def test_a_contract_that_lives_on_is_not_looked_up_as_delivered() -> None:
    case = Case()
    case.in_order()
    await case.catalogue.instrument(key_of(BTC))
    await case.cause(deviation("1", "0"))
    assert case.lists.asked
    assert case.lists.asked_deliveries == []


@in_fake_time
async def test_a_coin_is_looked_for_in_every_pair_that_the_legs_name() -> None:
    legs = [
        replace(component(symbol=pair, category=Category.SPOT), coin="BTC")
        for pair in ("BTCUSDT", "BTCUSDC")
    ]
    case = Case(*legs)
    bucket = BucketKey(ACCOUNT, Category.SPOT, "BTC", 0)
    case.in_order(bucket)
    sale = replace(hand(symbol="BTCUSDC"), category=Category.SPOT)
    case.lists.fills = [sale]
    cause = await case.cause(deviation("2", "1.6", bucket))
    assert [symbol for symbol, _ in case.lists.asked] == ["BTCUSDC", "BTCUSDT"]
    assert cause is not None
    assert cause.text.startswith("BTC sold by hand at 12:00:01 UTC, 0.4 BTC at 110")


@in_fake_time
async def test_a_coin_that_was_sold_in_a_pair_that_no_leg_names_is_found() -> None:
    case = Case(replace(component(symbol=BTC, category=Category.SPOT), coin="BTC"))
    pair = replace(instrument("BTCUSDC", category=Category.SPOT), base_coin="BTC")
    case.shop.known = (pair, instrument("BTCDOMUSDT", category=Category.SPOT))
    bucket = BucketKey(ACCOUNT, Category.SPOT, "BTC", 0)
    case.in_order(bucket)
    case.lists.fills = [
        replace(hand(symbol=symbol, name=symbol), category=Category.SPOT)
        for symbol in ("BTCUSDC", "BTCDOMUSDT", "ETHUSDC")
    ]
    cause = await case.cause(deviation("2", "1.6", bucket))
    assert [symbol for symbol, _ in case.lists.asked] == [BTC, ""]
    assert cause is not None
    assert cause.text.startswith("BTC sold by hand at 12:00:01 UTC, 0.4 BTC at 110")
    # Where the legs' own pairs explain it, nothing else is asked.
    case.lists.asked.clear()
    case.lists.fills = [replace(hand(), category=Category.SPOT)]
    assert await case.cause(deviation("2", "1.6", bucket)) is not None
    assert [symbol for symbol, _ in case.lists.asked] == [BTC]


@in_fake_time
async def test_the_fee_of_a_purchase_before_the_record_is_found() -> None:
    leg = replace(component(symbol=BTC, category=Category.SPOT), coin="BTC")
    case = Case(leg)
    bucket = BucketKey(ACCOUNT, Category.SPOT, "BTC", 0)
    buy = replace(
        fill("1", LONG, exec_id="buy", link_id="", at=after(-600)),
        category=Category.SPOT,
        fee=D("0.003"),
        fee_coin="BTC",
    )
    case.lists.fills = [buy]
    cause = await case.cause(deviation("1", "0.997", bucket))
    assert cause is not None
    assert cause.kind is CauseKind.FEE
