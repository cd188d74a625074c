"""Whatever stands in a row, the client answers, or fails with an error that its callers know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import aiohttp
import orjson
import pytest
from positiond.bybit.account_feed import BybitAccountFeed
from positiond.bybit.clock import ClockReading
from positiond.bybit.exchange import BybitAccount
from positiond.bybit.gateway import BybitGateway
from positiond.bybit.market_feed import BybitMarketFeed
from positiond.bybit.reply import read_reply
from positiond.bybit.rest import RestClient
from positiond.bybit.session import Ready
from positiond.bybit.socket import StreamCut
from positiond.bybit.vocab import Hosts
from positiond.bybit.wire_stream import Push
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.events import (
    AccountEvent,
    AccountFeedUp,
    MarketEvent,
    MarketFeedUp,
)
from positiond.daemon.domain.model import (
    Account,
    AccountId,
    Category,
    Credentials,
    Environment,
    Side,
    UserId,
)
from positiond.daemon.domain.orders import ReduceOnlyOrder

from . import wire_rows as wire

PAPER = Environment.PAPER
ACCOUNT = Account(AccountId(UUID(int=1)), UserId(UUID(int=2)), "paper", PAPER, "KEY")
CREDENTIALS = Credentials("KEY", "SECRET")
NOW_MS = 1_760_000_000_000
# The rows' own link id, so that the lookups take them for ours.
ORDER = ReduceOnlyOrder(
    Category.LINEAR, "BTCUSDT", 0, Side.SELL, Decimal("0.003"), "sp-7f3a-leg0-c1"
)
JUNK: tuple[object, ...] = (
    *("", "0", "-1", "x", "NaN", "9" * 40, "1e9", "Dormant", "\u0663"),
    *(None, 0, -1, 10**29, 1.5, True, [], ["x"], {}, {"x": "y"}),
)

Row = dict[str, object]
Ask = Callable[[BybitGateway], Awaitable[object]]


def gateway(http: aiohttp.ClientSession) -> BybitGateway:
    found = BybitGateway(http, {PAPER: Hosts("http://no", "ws://no", "ws://no")})
    found.client(PAPER).clock.observe(ClockReading(NOW_MS, 0.0, 0.0))
    return found


def odd(row: Row) -> Iterator[tuple[str, Row]]:
    """The row with each of its fields spoilt in turn, or left out."""
    for name in row:
        yield f"no {name}", {key: value for key, value in row.items() if key != name}
        for junk in JUNK:
            yield f"{name} = {junk!r}", {**row, name: junk}


def mine(gateway: BybitGateway) -> BybitAccount:
    return gateway.account(ACCOUNT, CREDENTIALS)


ASKED: dict[str, tuple[Row, Ask]] = {
    "positions": (wire.position(), lambda g: mine(g).holdings(Category.LINEAR, settle_coin="USDT")),
    "position": (wire.position(), lambda g: mine(g).holdings_in(Category.LINEAR, "BTCUSDT")),
    "wallet": (wire.wallet(wire.coin()), lambda g: mine(g).holdings(Category.SPOT, settle_coin="")),
    "coin": (wire.coin(), lambda g: mine(g).holdings_in(Category.SPOT, "BTC")),
    "order": (wire.order(), lambda g: mine(g).find_order(ORDER)),
    "fills of an order": (wire.execution(), lambda g: mine(g).fills_of(ORDER, None)),
    "order by its executions": (wire.execution(), lambda g: mine(g).find_order(ORDER)),
    "fills": (wire.execution(), lambda g: mine(g).fills_since(Category.LINEAR, _lately())),
    "deliveries": (
        wire.delivery(),
        lambda g: mine(g).deliveries_since(Category.OPTION, "BTC-10OCT25-100000-C", _lately()),
    ),
    "open orders": (
        wire.order(orderStatus="New", orderType="Limit"),
        lambda g: mine(g).open_orders(Category.LINEAR, "BTCUSDT"),
    ),
    "fee rate": (
        {"symbol": "BTCUSDT", "baseCoin": "", "takerFeeRate": "0.0006"},
        lambda g: mine(g).taker_fee_rate(Category.LINEAR, "BTCUSDT"),
    ),
    "key": (
        {
            "userID": 7,
            "readOnly": 0,
            "permissions": {"ContractTrade": ["Order"]},
            "ips": ["*"],
            "expiredAt": "2027-01-01T00:00:00Z",
        },
        lambda g: mine(g).key_info(),
    ),
    "book": (
        {"s": "BTCUSDT", "b": [["99", "1"]], "a": [["101", "1"]], "ts": NOW_MS},
        lambda g: g.order_book(PAPER, Category.LINEAR, "BTCUSDT"),
    ),
    "instrument": (
        wire.instrument(),
        lambda g: g.instruments(PAPER, Category.LINEAR, "BTCUSDT"),
    ),
    "instruments": (wire.instrument(), lambda g: g.instruments(PAPER, Category.LINEAR)),
}
# Answers that are no list.
_PLAIN = ("key", "book")
# Lists that are searched before the one that the row stands in.
_EMPTY_UNLESS = {"order by its executions": "/v5/execution/list"}


def _lately() -> datetime:
    return datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(days=1)


@pytest.mark.parametrize("asked", ASKED)
async def test_a_read_answers_or_says_that_it_is_unreadable(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, ask = ASKED[asked]
    only = _EMPTY_UNLESS.get(asked)
    shown: Row = row

    async def answer(_: RestClient, path: str, *__: object, **___: object) -> Row:
        if asked in _PLAIN:
            return shown
        found = wire.wallet(shown) if asked == "coin" else shown
        return {"list": [found] if only in (None, path) else [], "nextPageCursor": ""}

    monkeypatch.setattr(RestClient, "get", answer)
    escaped: dict[str, str] = {}
    async with aiohttp.ClientSession() as http:
        door = gateway(http)
        await ask(door)
        for what, spoilt in odd(row):
            shown = spoilt
            try:
                await ask(door)
            except Exception as error:
                code = error.code if isinstance(error, ExchangeUnreachable) else ""
                if code != "exchange-unreadable":
                    escaped[what] = repr(error)
    assert escaped == {}


@pytest.mark.parametrize(
    ("topic", "row"),
    [
        ("position", wire.position(category="linear")),
        ("order", wire.order()),
        ("execution", wire.execution()),
        ("wallet", wire.wallet(wire.coin())),
        ("wallet", wire.coin()),
    ],
    ids=["position", "order", "execution", "wallet", "coin"],
)
async def test_a_private_stream_outlives_every_row_and_asks_for_a_resync(
    topic: str, row: Row
) -> None:
    is_coin = topic == "wallet" and "walletBalance" in row
    async with aiohttp.ClientSession() as http:
        for what, spoilt in odd(row):
            feed = gateway(http).account_feed(ACCOUNT, CREDENTIALS)
            heard: list[AccountEvent] = []
            feed._on_event(Ready(), heard.append)
            data = wire.wallet(spoilt) if is_coin else spoilt
            hear(feed, Push(topic, {"creationTime": NOW_MS, "data": [data]}), heard)
            seen = [event for event in heard if not isinstance(event, AccountFeedUp)]
            resyncs = len(heard) - len(seen) - 1
            assert seen or resyncs, f"{what}: neither told nor asked for"


def hear(feed: BybitAccountFeed, push: Push, heard: list[AccountEvent]) -> None:
    try:
        feed._on_event(push, heard.append)
    except StreamCut as cut:
        pytest.fail(f"the stream was cut: {cut.reason}")


async def test_a_public_stream_outlives_every_ticker() -> None:
    ticker: Row = {
        "symbol": "BTCUSDT",
        "lastPrice": "100",
        "markPrice": "101",
        "indexPrice": "102",
    }
    topic = "tickers.BTCUSDT"
    frame: Row = {"topic": topic, "type": "snapshot", "ts": NOW_MS, "data": ticker}
    async with aiohttp.ClientSession() as http:
        feed = gateway(http).market_feed(PAPER, Category.LINEAR)
        feed.watch(frozenset({"BTCUSDT"}))
        spoilt = [frame for _, frame in odd(frame)]
        spoilt += [{**frame, "data": data} for _, data in odd(ticker)]
        for message in [frame, *spoilt]:
            tell(feed, Push(topic, message))


def tell(feed: BybitMarketFeed, push: Push) -> None:
    heard: list[MarketEvent] = []
    feed._on_event(push, feed._lines[0], heard.append)
    assert not any(isinstance(event, MarketFeedUp) for event in heard)


async def test_an_open_order_of_unknown_status_is_unreadable_not_a_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(*_: object, **__: object) -> Row:
        return {"list": [wire.order(orderStatus="Dormant")], "nextPageCursor": ""}

    monkeypatch.setattr(RestClient, "get", answer)
    async with aiohttp.ClientSession() as http:
        account = mine(gateway(http))
        with pytest.raises(ExchangeUnreachable, match=r"order/realtime: .*Dormant") as unreadable:
            await account.open_orders(Category.LINEAR, "BTCUSDT")
    assert unreadable.value.code == "exchange-unreadable"


@pytest.mark.parametrize(
    ("stamp", "heard"),
    [(NOW_MS, NOW_MS), (str(NOW_MS), NOW_MS), (10**18, None), (0, None), ("x", None)],
)
def test_a_stamp_that_is_no_time_does_not_move_the_clock(stamp: object, heard: int | None) -> None:
    response = cast("aiohttp.ClientResponse", SimpleNamespace(status=200, headers={}))
    _, at = read_reply(response, orjson.dumps({"retCode": 0, "time": stamp}))
    assert at == heard
