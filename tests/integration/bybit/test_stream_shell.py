"""The stream shell against a scripted WebSocket server: order, deadlines, odd rows, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import orjson
import pytest
from positiond.bybit.gateway import BybitGateway, open_gateway
from positiond.bybit.vocab import Hosts
from positiond.daemon.domain.events import (
    AccountFeedDown,
    AccountFeedUp,
    FillSeen,
    HoldingSeen,
    MarketFeedDown,
    MarketFeedUp,
    PriceTick,
)
from positiond.daemon.domain.model import Category, Environment
from structlog.testing import capture_logs
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from . import stubs
from .stubs import Ear, envelope, running, scripted

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def streaming(handler: Handler, **options: object) -> AsyncIterator[BybitGateway]:
    """A gateway whose streams go to `handler`."""
    async with (
        scripted(unused=[envelope()]) as (_, rest),
        serve(handler, "127.0.0.1", 0, **options) as server,  # type: ignore[arg-type]  # passed on
    ):
        url = f"ws://127.0.0.1:{port_of(server)}"
        hosts = {Environment.PAPER: Hosts(rest._hosts[Environment.PAPER].rest, url, url)}
        async with open_gateway(hosts, patience=stubs.QUICK, persistence=stubs.PROMPT) as gateway:
            yield gateway


def port_of(server: Server) -> int:
    (socket, *_) = server.sockets
    port: int = socket.getsockname()[1]
    return port


async def heard(connection: ServerConnection) -> dict[str, object]:
    message: dict[str, object] = orjson.loads(await connection.recv())
    return message


async def say(connection: ServerConnection, message: object) -> None:
    await connection.send(orjson.dumps(message).decode())


async def acknowledge(connection: ServerConnection) -> dict[str, object]:
    request = await heard(connection)
    await say(
        connection,
        {"success": True, "ret_msg": "", "req_id": request["req_id"], "op": request["op"]},
    )
    return request


async def let_in(connection: ServerConnection) -> None:
    """Acknowledge auth and subscriptions."""
    await acknowledge(connection)
    await acknowledge(connection)


async def test_the_private_stream_subscribes_only_after_the_ack_of_auth() -> None:
    early: list[object] = []

    async def handler(connection: ServerConnection) -> None:
        auth = await heard(connection)
        assert auth["op"] == "auth"
        try:
            async with asyncio.timeout(0.3):
                early.append(await heard(connection))
        except TimeoutError:
            pass
        await say(connection, {"success": True, "ret_msg": "", "op": "auth", "conn_id": "c"})
        subscribe = await acknowledge(connection)
        early.append(subscribe["args"])
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        ear = Ear()
        async with running(gateway.account_feed(stubs.account(), stubs.CREDENTIALS), ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
    assert early == [["execution", "order", "position", "wallet"]]


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("positiond.bybit.session.ANSWER_WITHIN", 0.1)
    monkeypatch.setattr("positiond.bybit.socket._TICK", 0.05)

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        feed = gateway.market_feed(Environment.PAPER, Category.LINEAR)
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(ear.of(MarketFeedDown)))
        down = ear.heard[0]
        assert isinstance(down, MarketFeedDown)
        assert "subscribe" in down.reason


async def test_what_must_go_out_waits_for_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("positiond.bybit.socket._TICK", 60.0)

    async def handler(connection: ServerConnection) -> None:
        await let_in(connection)
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        ear = Ear()
        async with running(gateway.account_feed(stubs.account(), stubs.CREDENTIALS), ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))


async def test_the_last_frames_of_a_symbol_given_up_are_not_told() -> None:
    def ticker(symbol: str) -> dict[str, object]:
        data = {"symbol": symbol, "markPrice": "1"}
        return {"topic": f"tickers.{symbol}", "type": "snapshot", "ts": 1, "data": data}

    async def handler(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await acknowledge(connection)
        await say(connection, ticker("BTCUSDT"))
        await acknowledge(connection)
        await say(connection, ticker("ETHUSDT"))
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        feed = gateway.market_feed(Environment.PAPER, Category.LINEAR)
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(ear.of(MarketFeedUp)))
            feed.watch(frozenset({"ETHUSDT"}))
            await ear.until(lambda: bool(ear.of(PriceTick)))
    (tick,) = (event for event in ear.heard if isinstance(event, PriceTick))
    assert tick.key.symbol == "ETHUSDT"


async def test_an_oversized_frame_cuts_the_stream_and_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("positiond.bybit.socket._LARGEST_FRAME", 1000)

    async def handler(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await connection.send("x" * 2000)
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        feed = gateway.market_feed(Environment.PAPER, Category.LINEAR)
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: len(ear.of(MarketFeedUp)) >= 2)
        assert ear.of(MarketFeedDown)


async def test_a_forbidden_handshake_is_told_with_its_status() -> None:
    async def handler(connection: ServerConnection) -> None:
        raise AssertionError("nobody gets in")

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(HTTPStatus.FORBIDDEN, "no")

    async with streaming(handler, process_request=refuse) as gateway:
        ear = Ear()
        async with running(gateway.market_feed(Environment.PAPER, Category.LINEAR), ear):
            await ear.until(lambda: bool(ear.of(MarketFeedDown)))
        down = ear.heard[0]
        assert isinstance(down, MarketFeedDown)
        assert "403" in down.reason


def push(topic: str, *rows: object) -> dict[str, object]:
    return {"id": "1", "topic": topic, "creationTime": 1760000000355, "data": list(rows)}


EXECUTION = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "orderId": "o",
    "orderLinkId": "",
    "side": "Sell",
    "execId": "e-1",
    "execType": "Trade",
    "execPrice": "100",
    "execQty": "0.5",
    "execTime": "1760000000353",
}
POSITION = {"category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "1"}


async def events_after(*messages: object, count: int) -> tuple[Ear, BybitGateway]:
    """What the account feed tells after Up when Bybit pushes these messages."""

    async def handler(connection: ServerConnection) -> None:
        await let_in(connection)
        for message in messages:
            await say(connection, message)
        await connection.wait_closed()

    async with streaming(handler) as gateway:
        ear = Ear()
        async with running(gateway.account_feed(stubs.account(), stubs.CREDENTIALS), ear):
            await ear.until(lambda: len(ear.heard) >= count)
        assert not ear.of(AccountFeedDown)
        return ear, gateway


async def test_an_unknown_execution_type_is_told_and_asks_for_a_resync() -> None:
    row = {**EXECUTION, "execType": "Brandnew"}
    ear, gateway = await events_after(push("execution", row), count=3)
    _, seen, resync = ear.heard
    assert isinstance(seen, FillSeen)
    assert not seen.fill.changes_size
    assert isinstance(resync, AccountFeedUp)
    assert gateway.oddities.counts["execType Brandnew"] == 1


async def test_funding_is_told_and_asks_for_nothing() -> None:
    ear, _ = await events_after(
        push("execution", {**EXECUTION, "execType": "Funding"}), push("position", POSITION), count=3
    )
    assert [type(event) for event in ear.heard] == [AccountFeedUp, FillSeen, HoldingSeen]


async def test_one_bad_row_costs_its_neighbours_nothing_and_asks_for_one_resync() -> None:
    bad = {**POSITION, "size": ""}
    ear, _ = await events_after(
        push("position", bad, POSITION), push("position", bad), push("position", POSITION), count=4
    )
    assert [type(event) for event in ear.heard] == [
        AccountFeedUp,
        HoldingSeen,
        AccountFeedUp,
        HoldingSeen,
    ]


async def test_each_coin_of_a_wallet_push_is_told_as_a_holding_of_spot() -> None:
    coins = [
        {"coin": "BTC", "walletBalance": "0.5", "spotBorrow": "0.1", "locked": "0.2"},
        {"coin": "ETH", "walletBalance": "0"},
    ]
    row = {"accountType": "UNIFIED", "coin": coins}
    ear, _ = await events_after(push("wallet", row), count=3)
    held = [event.holding for event in ear.heard if isinstance(event, HoldingSeen)]
    assert [(one.category, one.symbol, str(one.signed), str(one.locked)) for one in held] == [
        (Category.SPOT, "BTC", "0.4", "0.2"),
        (Category.SPOT, "ETH", "0", "0"),
    ]
    assert held[0].read_at == datetime(2025, 10, 9, 8, 53, 20, 355_000, tzinfo=UTC)


async def test_a_wallet_that_cannot_be_read_asks_for_a_resync() -> None:
    row = {"accountType": "UNIFIED", "coin": [{"coin": "BTC", "walletBalance": "x"}]}
    ear, _ = await events_after(push("wallet", row), count=2)
    assert [type(event) for event in ear.heard] == [AccountFeedUp, AccountFeedUp]


async def test_a_categorised_topic_is_read_like_the_plain_one() -> None:
    ear, _ = await events_after(push("position.linear", POSITION), count=2)
    assert isinstance(ear.heard[1], HoldingSeen)


async def test_neither_secret_nor_signature_nor_key_is_ever_logged() -> None:
    async def handler(connection: ServerConnection) -> None:
        await heard(connection)
        await say(connection, {"success": False, "ret_msg": "Params Error", "op": "auth"})
        await connection.wait_closed()

    with capture_logs() as logs:
        async with streaming(handler) as gateway:
            ear = Ear()
            async with running(gateway.account_feed(stubs.account(), stubs.CREDENTIALS), ear):
                await ear.until(lambda: bool(ear.of(AccountFeedDown)))
            account = gateway.account(stubs.account(), stubs.CREDENTIALS)
            signed = account.sign(stubs.reducing())
            await account.send(signed)
    text = f"{logs!r} {ear.heard!r}"
    assert logs
    assert "SECRET" not in text
    assert getattr(signed.payload, "headers")["X-BAPI-SIGN"] not in text  # noqa: B009  # opaque
