"""REST over real sockets against answers that are late, wrong, refused or none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import orjson
import pytest
from aiohttp import web
from positiond.bybit.exchange import BybitAccount
from positiond.bybit.gateway import BybitGateway
from positiond.bybit.limits import ADDRESS_MOST
from positiond.daemon.domain.errors import (
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
    InvalidInput,
)
from positiond.daemon.domain.model import Category, Environment
from positiond.daemon.domain.orders import (
    Acked,
    NotExecuted,
    OutcomeUnknown,
    Refused,
    SendOutcome,
)

from . import stubs
from .stubs import Answer, cut, envelope, plain, reducing, scripted

ACK = envelope({"orderId": "o-1", "orderLinkId": "sp-1"})
EMPTY = envelope({"list": [], "nextPageCursor": ""})


def bybit(gateway: BybitGateway) -> BybitAccount:
    return gateway.account(stubs.account(), stubs.CREDENTIALS)


def block(gateway: BybitGateway, seconds: float) -> None:
    """Leave no room for position lists of the key for that long."""
    client = gateway.client(Environment.PAPER)
    client._budgets.of("KEY", "/v5/position/list", "linear").block(time.monotonic(), seconds)


async def send(*answers: Answer) -> SendOutcome:
    async with scripted(order__create=list(answers)) as (venue, gateway):
        account = bybit(gateway)
        await account.server_now()
        outcome = await account.send(account.sign(reducing()))
        assert len(venue.asked("/v5/order/create")) == 1, "a send goes out exactly once"
        return outcome


class TestSending:
    async def test_an_ack_gives_the_order_id(self) -> None:
        assert await send(ACK) == Acked("o-1")

    async def test_the_order_on_the_wire_is_reduce_only_at_market(self) -> None:
        async with scripted(order__create=[ACK]) as (venue, gateway):
            account = bybit(gateway)
            await account.send(account.sign(reducing("0.0030")))
            ((_, body),) = venue.asked("/v5/order/create")
        assert orjson.loads(body) == {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Sell",
            "orderType": "Market",
            "qty": "0.0030",
            "positionIdx": 0,
            "reduceOnly": True,
            "orderLinkId": "sp-1",
        }

    @pytest.mark.parametrize("code", [110017, 110094, 10001, 10005, 110007])
    async def test_a_listed_refusal_is_refused(self, code: int) -> None:
        outcome = await send(envelope(code=code, message="no"))
        assert isinstance(outcome, Refused)
        assert outcome.ret_code == code

    async def test_a_flat_position_is_a_refusal_to_judge_by_a_fresh_read(self) -> None:
        message = "current position is zero, cannot fix reduce-only order qty"
        outcome = await send(envelope(code=110017, message=message))
        assert outcome == Refused(110017, message)

    @pytest.mark.parametrize(
        "answer",
        [
            envelope(code=110072, message="OrderLinkedID is duplicate"),
            envelope(code=10016, message="Request timeout, please try again later"),
            envelope(code=10000, message="Server Timeout"),
            envelope(code=987654, message="a code of tomorrow"),
            envelope(code=10001, message="params error", status=502),
            plain(502, "<html>Bad Gateway</html>"),
            plain(500),
            plain(302),
            plain(200, "<html>welcome</html>"),
            plain(200, '{"retCode":0,"retMsg":"OK","resu'),
            envelope({}, message="OK"),
            cut,
        ],
        ids=[
            "duplicate id",
            "10016",
            "10000",
            "unlisted",
            "envelope in a 502",
            "502",
            "500",
            "redirect",
            "html",
            "torn json",
            "ack without id",
            "cut",
        ],
    )
    async def test_what_proves_nothing_leaves_the_outcome_unknown(self, answer: Answer) -> None:
        assert isinstance(await send(answer), OutcomeUnknown)

    async def test_an_unlisted_code_is_counted(self) -> None:
        answer = envelope(code=987654, message="a code of tomorrow")
        async with scripted(order__create=[answer]) as (_, gateway):
            account = bybit(gateway)
            await account.send(account.sign(reducing()))
            assert gateway.oddities.counts["retCode 987654 to an order"] == 1

    async def test_a_hanging_venue_leaves_the_outcome_unknown(self) -> None:
        async with scripted(order__create=[ACK]) as (venue, gateway):
            account = bybit(gateway)
            venue.hang.add("/v5/order/create")
            outcome = await account.send(account.sign(reducing()))
            assert isinstance(outcome, OutcomeUnknown)
            assert len(venue.asked("/v5/order/create")) == 1

    async def test_an_endless_reply_leaves_the_outcome_unknown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("positiond.bybit.reply._LARGEST_REPLY", 1000)
        assert isinstance(await send(plain(200, "x" * 5000)), OutcomeUnknown)

    async def test_where_nobody_listens_surely_nothing_was_executed(self) -> None:
        async with scripted(order__create=[ACK]) as (_, gateway):
            account = bybit(gateway)
            signed = account.sign(reducing())
            # The venue is gone now; a session of its own would not find it either.
            gateway.client(Environment.PAPER)._base_url = "http://127.0.0.1:1"
            assert isinstance(await account.send(signed), NotExecuted)

    async def test_a_rate_limit_waits_for_its_reset_and_blocks_the_next_send(self) -> None:
        def limited(request: web.Request) -> web.StreamResponse | None:
            reset = int((datetime.now(UTC) + timedelta(seconds=4)).timestamp() * 1000)
            answer = envelope(
                code=10006,
                message="Too many visits!",
                X_Bapi_Limit="10",
                X_Bapi_Limit_Status="0",
                X_Bapi_Limit_Reset_Timestamp=str(reset),
            )
            return answer(request)

        async with scripted(order__create=[limited, ACK]) as (venue, gateway):
            account = bybit(gateway)
            now = await account.server_now()
            outcome = await account.send(account.sign(reducing()))
            assert isinstance(outcome, NotExecuted)
            assert timedelta(seconds=3) < outcome.retry_at - now < timedelta(seconds=10)
            again = await account.send(account.sign(reducing()))
            assert isinstance(again, NotExecuted)
            assert len(venue.asked("/v5/order/create")) == 1, "the second one never left"

    async def test_a_ban_pauses_everything_for_ten_minutes(self) -> None:
        async with scripted(order__create=[plain(403, "forbidden")], position__list=[EMPTY]) as (
            venue,
            gateway,
        ):
            account = bybit(gateway)
            now = await account.server_now()
            outcome = await account.send(account.sign(reducing()))
            assert isinstance(outcome, NotExecuted)
            assert outcome.retry_at - now >= timedelta(minutes=10)
            before = len(venue.seen)
            with pytest.raises(ExchangeBusy) as busy:
                await account.holdings(Category.LINEAR, settle_coin="USDT")
            assert busy.value.retry_at - now >= timedelta(minutes=10)
            assert isinstance(await account.send(account.sign(reducing())), NotExecuted)
            assert len(venue.seen) == before, "nothing went out"

    async def test_a_refused_timestamp_measures_the_clock_anew(self) -> None:
        stale = envelope(code=10002, message="invalid request, please check your timestamp")
        async with scripted(order__create=[stale, ACK]) as (venue, gateway):
            account = bybit(gateway)
            await account.server_now()
            venue.clock_ahead_ms = 60_000
            outcome = await account.send(account.sign(reducing()))
            assert isinstance(outcome, NotExecuted)
            assert await account.server_now() > datetime.now(UTC) + timedelta(seconds=50)
            assert await account.send(account.sign(reducing())) == Acked("o-1")

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (110118, "no market price available for this order"),
            (10001, "[0b2c]sell: [955174000,955350000] invalid"),
        ],
    )
    async def test_a_thin_book_is_worth_another_try_soon(self, code: int, message: str) -> None:
        outcome = await send(envelope(code=code, message=message))
        assert isinstance(outcome, NotExecuted)
        assert (outcome.ret_code, outcome.detail) == (code, message)
        assert timedelta(0) < outcome.retry_at - datetime.now(UTC) < timedelta(seconds=2)

    @pytest.mark.parametrize("trouble", ["ban", "full"])
    async def test_a_refused_timestamp_is_an_outcome_though_no_clock_can_be_read(
        self, trouble: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("positiond.bybit.turns._LONGEST_WAIT", 0.05)

        def stale(request: web.Request) -> web.StreamResponse | None:
            # While the order is on its way the others use up the address, or have it banned.
            gate = gateway.client(Environment.PAPER)._turns._gate
            if trouble == "ban":
                gate.pause()
            for _ in range(ADDRESS_MOST):
                gate.stamp(urgent=True)
            return envelope(code=10002, message="invalid request, check your timestamp")(request)

        async with scripted(order__create=[stale]) as (venue, gateway):
            account = bybit(gateway)
            await account.server_now()
            outcome = await account.send(account.sign(reducing()))
            assert len(venue.asked("/v5/market/time")) == 3, "no more than the first measuring"
        assert isinstance(outcome, NotExecuted)
        assert outcome.ret_code == 10002

    async def test_an_order_that_outlived_its_signature_never_leaves(self) -> None:
        async with scripted(order__create=[ACK]) as (venue, gateway):
            account = bybit(gateway)
            signed = account.sign(reducing())
            venue.clock_ahead_ms = 6_000
            await account.server_now()
            assert isinstance(await account.send(signed), NotExecuted)
            assert venue.asked("/v5/order/create") == []

    async def test_no_secret_or_signature_shows_in_a_signed_orders_repr(self) -> None:
        async with scripted() as (_, gateway):
            signed = bybit(gateway).sign(reducing())
            shown = f"{signed!r} {signed.payload!r}"
        assert "SECRET" not in shown
        assert "X-BAPI-SIGN" not in shown

    async def test_spot_and_zero_quantities_are_never_encoded(self) -> None:
        async with scripted() as (_, gateway):
            account = bybit(gateway)
            spot = reducing()
            object.__setattr__(spot, "category", Category.SPOT)
            with pytest.raises(ValueError, match="spot"):
                account.sign(spot)
            with pytest.raises(ValueError, match="above zero"):
                account.sign(reducing("0"))


class TestReading:
    async def test_a_cursor_goes_back_exactly_as_it_came(self) -> None:
        first = envelope({"list": [], "nextPageCursor": "132766%3A2%2C132766%3A2"})
        async with scripted(position__list=[first, EMPTY]) as (venue, gateway):
            await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")
            queries = [query for query, _ in venue.asked("/v5/position/list")]
        assert queries == [
            "category=linear&limit=200&settleCoin=USDT",
            "category=linear&limit=200&settleCoin=USDT&cursor=132766%3A2%2C132766%3A2",
        ]

    async def test_a_read_never_has_a_body(self) -> None:
        async with scripted(position__list=[EMPTY]) as (venue, gateway):
            await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")
            assert {body for _, _, body in venue.seen} == {b""}

    async def test_a_read_is_signed_when_its_turn_has_come(self) -> None:
        ages: list[float] = []

        def answer(request: web.Request) -> web.StreamResponse | None:
            ages.append(time.time() * 1000 - int(request.headers["X-BAPI-TIMESTAMP"]))
            return EMPTY(request)

        async with scripted(position__list=[answer]) as (_, gateway):
            account = bybit(gateway)
            await account.server_now()
            block(gateway, 0.8)
            await account.holdings(Category.LINEAR, settle_coin="USDT")
        assert len(ages) == 1
        assert ages[0] < 600, "the wait in line is not part of the signature's life"

    async def test_a_minute_in_line_is_busy_and_nothing_was_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("positiond.bybit.turns._LONGEST_WAIT", 0.05)
        async with scripted(position__list=[EMPTY]) as (venue, gateway):
            account = bybit(gateway)
            await account.server_now()
            block(gateway, 4.0)
            with pytest.raises(ExchangeBusy):
                await account.holdings(Category.LINEAR, settle_coin="USDT")
            assert venue.asked("/v5/position/list") == []

    async def test_a_list_that_repeats_its_cursor_ends(self) -> None:
        page = envelope({"list": [], "nextPageCursor": "same"})
        async with scripted(position__list=[page]) as (venue, gateway):
            assert await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT") == []
            assert len(venue.asked("/v5/position/list")) == 2

    @pytest.mark.parametrize(
        "fault",
        [
            plain(502),
            cut,
            envelope(code=10016, message="server error"),
            envelope(code=10006, message="Too many visits!"),
            envelope(code=10002, message="timestamp"),
            plain(429),
        ],
        ids=["502", "cut", "10016", "10006", "10002", "429"],
    )
    async def test_a_passing_fault_is_tried_again(self, fault: Answer) -> None:
        async with scripted(position__list=[fault, EMPTY]) as (venue, gateway):
            assert await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT") == []
            assert len(venue.asked("/v5/position/list")) == 2

    async def test_a_lasting_fault_raises_after_a_few_tries(self) -> None:
        async with scripted(position__list=[plain(502)]) as (venue, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")
            assert len(venue.asked("/v5/position/list")) == 3

    async def test_a_silent_venue_is_unreachable(self) -> None:
        async with scripted() as (venue, gateway):
            venue.hang.add("/v5/market/time")
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).server_now()

    async def test_a_server_time_beyond_all_years_is_unreadable(self) -> None:
        async with scripted() as (venue, gateway):
            venue.clock_ahead_ms = 10**18
            with pytest.raises(ExchangeUnreachable, match="timeNano"):
                await bybit(gateway).server_now()

    async def test_a_failing_second_page_gives_no_part_of_the_list(self) -> None:
        row = {"symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "1"}
        first = envelope({"list": [row], "nextPageCursor": "next"})
        async with scripted(position__list=[first, plain(502)]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")

    async def test_one_unreadable_row_gives_no_part_of_the_list(self) -> None:
        good = {"symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "1"}
        bad = {**good, "symbol": "ETHUSDT", "size": ""}
        page = envelope({"list": [good, bad], "nextPageCursor": ""})
        async with scripted(position__list=[page]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable, match="size"):
                await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")

    async def test_a_reply_without_a_list_is_no_empty_list(self) -> None:
        async with scripted(position__list=[envelope({})]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings(Category.LINEAR, settle_coin="USDT")

    @pytest.mark.parametrize("code", [10003, 10004, 10005, 10010, 33004])
    async def test_a_refused_key_is_told_at_once(self, code: int) -> None:
        refusal = envelope(code=code, message="no")
        async with scripted(user__query_api=[refusal]) as (venue, gateway):
            with pytest.raises(CredentialsRefused) as refused:
                await bybit(gateway).key_info()
            assert refused.value.ret_code == code
            assert len(venue.asked("/v5/user/query-api")) == 1

    async def test_a_refused_question_is_refused(self) -> None:
        refusal = envelope(code=10001, message="params error: symbol invalid")
        async with scripted(position__list=[refusal]) as (_, gateway):
            with pytest.raises(ExchangeRefused, match="symbol invalid"):
                await bybit(gateway).holdings_in(Category.LINEAR, "NOPE")

    async def test_executions_of_a_long_time_are_asked_in_weeks(self) -> None:
        async with scripted(execution__list=[EMPTY]) as (venue, gateway):
            account = bybit(gateway)
            await account.fills_since(Category.LINEAR, datetime.now(UTC) - timedelta(days=15))
            assert len(venue.asked("/v5/execution/list")) == 3

    async def test_executions_of_options_are_not_silently_those_of_one_coin(self) -> None:
        async with scripted(execution__list=[EMPTY]) as (venue, gateway):
            account, now = bybit(gateway), datetime.now(UTC)
            with pytest.raises(InvalidInput):
                await account.fills_since(Category.OPTION, now)
            await account.fills_since(Category.OPTION, now, symbol="ETH-28FEB25-2800-C")
            await account.fills_since(Category.OPTION, now, base_coin="SOL")
            queries = [parse_qs(query) for query, _ in venue.asked("/v5/execution/list")]
        assert [query["baseCoin"] for query in queries] == [["ETH"], ["SOL"]]
        assert queries[0]["symbol"] == ["ETH-28FEB25-2800-C"]

    async def test_an_execution_of_an_unknown_type_is_no_fill_but_an_oddity(self) -> None:
        row = {**TestLookingUp.EXECUTION, "execType": "Brandnew"}
        page = envelope({"list": [row], "nextPageCursor": ""})
        async with scripted(execution__list=[page]) as (_, gateway):
            (seen,) = await bybit(gateway).fills_since(Category.LINEAR, datetime.now(UTC))
            assert (seen.changes_size, seen.exec_type) == (False, "Brandnew")
            assert gateway.oddities.counts["execType Brandnew"] == 1

    async def test_deliveries_of_a_long_time_are_asked_in_months_and_told_once(self) -> None:
        now = datetime.now(UTC)
        row = {
            "deliveryTime": int((now - timedelta(days=1)).timestamp() * 1000),
            "symbol": "ETH-28FEB25-2800-C",
            "side": "Buy",
            "position": "2",
            "deliveryPrice": "2500",
        }
        page = envelope({"list": [row, {**row, "symbol": "OTHER"}], "nextPageCursor": ""})
        async with scripted(asset__delivery_record=[page]) as (venue, gateway):
            account = bybit(gateway)
            told = await account.deliveries_since(
                Category.OPTION, "ETH-28FEB25-2800-C", now - timedelta(days=70)
            )
            assert len(venue.asked("/v5/asset/delivery-record")) == 3
            with pytest.raises(InvalidInput):
                await account.deliveries_since(Category.SPOT, "BTCUSDT", now)
        assert [(one.side.value, str(one.size), str(one.price)) for one in told] == [
            ("Buy", "2", "2500")
        ]

    @pytest.mark.parametrize(
        "wallets",
        [
            [],
            [{"accountType": "FUND", "coin": []}],
            [{"accountType": "UNIFIED"}],
            [{"accountType": "UNIFIED", "coin": [{"coin": "BTC", "walletBalance": ""}]}],
            [{"accountType": "UNIFIED", "coin": [{"coin": "BTC", "walletBalance": "1"}] * 2}],
        ],
        ids=["no row", "another account", "no coins", "no balance", "twice"],
    )
    async def test_a_wallet_that_says_too_little_is_not_an_empty_one(
        self, wallets: list[object]
    ) -> None:
        async with scripted(account__wallet_balance=[envelope({"list": wallets})]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings_in(Category.SPOT, "BTC")
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings(Category.SPOT, settle_coin="")

    async def test_a_failing_wallet_is_not_an_empty_one(self) -> None:
        async with scripted(account__wallet_balance=[plain(502)]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).holdings_in(Category.SPOT, "BTC")

    async def test_a_contract_of_which_bybit_knows_nothing_gives_no_rows(self) -> None:
        async with scripted(position__list=[EMPTY]) as (_, gateway):
            assert await bybit(gateway).holdings_in(Category.OPTION, "BTC-1JAN25-1-C") == []

    async def test_an_environment_without_an_address_says_so(self) -> None:
        async with scripted() as (_, gateway):
            gateway._hosts.clear()
            with pytest.raises(InvalidInput, match="paper"):
                await gateway.instruments(Environment.PAPER, Category.LINEAR)


class TestLookingUp:
    ROW = {  # noqa: RUF012  # a constant of the tests
        "orderId": "o-1",
        "orderLinkId": "sp-1",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "qty": "0.003",
        "cumExecQty": "0.003",
        "orderStatus": "Filled",
        "reduceOnly": True,
        "createdTime": "1760000000349",
    }
    EXECUTION = {  # noqa: RUF012
        "orderId": "o-1",
        "orderLinkId": "sp-1",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "execId": "e-1",
        "execType": "Trade",
        "execPrice": "100",
        "execQty": "0.003",
        "orderQty": "0.003",
        "closedSize": "0.003",
        "execTime": "1760000000353",
    }

    @staticmethod
    def page(*rows: object) -> Answer:
        return envelope({"list": list(rows), "nextPageCursor": ""})

    @pytest.mark.parametrize("rung", [0, 1, 2, 3])
    async def test_each_rung_of_the_ladder_can_find_it(self, rung: int) -> None:
        found = [self.page(self.ROW) if rung == n else EMPTY for n in range(3)]
        executions = self.page(self.EXECUTION) if rung == 3 else EMPTY
        async with scripted(
            order__realtime=found[:2], order__history=found[2:], execution__list=[executions]
        ) as (venue, gateway):
            report = await bybit(gateway).find_order(reducing())
            assert report is not None
            assert (report.order_id, report.status.is_terminal) == ("o-1", True)
            asked = [path for path, _, _ in venue.seen if path != "/v5/market/time"]
        assert len(asked) == rung + 1

    async def test_an_empty_ladder_finds_nothing(self) -> None:
        async with scripted(
            order__realtime=[EMPTY], order__history=[EMPTY], execution__list=[EMPTY]
        ) as (_, gateway):
            assert await bybit(gateway).find_order(reducing()) is None

    async def test_a_rung_that_fails_is_not_an_absence(self) -> None:
        async with scripted(
            order__realtime=[EMPTY], order__history=[plain(502)], execution__list=[EMPTY]
        ) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).find_order(reducing())

    async def test_a_strangers_order_is_never_taken_for_ours(self) -> None:
        other = self.page({**self.ROW, "orderLinkId": "sp-2", "orderStatus": "Surprise"})
        async with scripted(
            order__realtime=[other], order__history=[other], execution__list=[EMPTY]
        ) as (_, gateway):
            assert await bybit(gateway).find_order(reducing()) is None

    async def test_an_unknown_status_of_our_own_order_is_loud(self) -> None:
        odd = self.page({**self.ROW, "orderStatus": "Surprise"})
        async with scripted(order__realtime=[odd]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable, match="Surprise"):
                await bybit(gateway).find_order(reducing())

    async def test_fills_are_told_by_order_and_come_once(self) -> None:
        second = {**self.EXECUTION, "execId": "e-0", "execTime": "1760000000100"}
        alien = {**self.EXECUTION, "execId": "e-9", "orderId": "o-9", "orderLinkId": ""}
        page = self.page(self.EXECUTION, second, self.EXECUTION, alien)
        async with scripted(execution__list=[page]) as (_, gateway):
            fills = await bybit(gateway).fills_of(reducing(), "o-1")
        assert [fill.exec_id for fill in fills] == ["e-0", "e-1"]
