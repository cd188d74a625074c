"""The official SDK against the exchange, with nothing changed but its URL constants."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from pybit import _http_manager, exceptions, unified_trading

BTC = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def account(paper: PaperServer, monkeypatch: pytest.MonkeyPatch) -> PaperAccount:
    """An account on an exchange that pybit takes for the real one."""
    monkeypatch.setattr(_http_manager, "HTTP_URL", paper.url)
    monkeypatch.setattr(unified_trading, "PUBLIC_WSS", paper.ws_url + "/v5/public/{CHANNEL_TYPE}")
    monkeypatch.setattr(unified_trading, "PRIVATE_WSS", paper.ws_url + "/v5/private")
    return paper.add_account("alice")


@pytest.fixture
def sdk(account: PaperAccount) -> Iterator[Any]:
    session = unified_trading.HTTP(testnet=False, api_key=account.key, api_secret=account.secret)
    yield session
    session.client.close()


def ask(call: Callable[..., Any], **parameters: Any) -> Any:
    """The `result` of one SDK call."""
    return call(**parameters)["result"]


def poll(check: Callable[[], Any], seconds: float = 5) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
    return found


def read_the_market(sdk: Any) -> None:
    assert abs(int(ask(sdk.get_server_time)["timeSecond"]) - time.time()) < 2
    assert len(ask(sdk.get_instruments_info, category="linear")["list"]) >= 30
    (ticker,) = ask(sdk.get_tickers, **BTC)["list"]
    assert float(ticker["bid1Price"]) < float(ticker["ask1Price"])
    book = ask(sdk.get_orderbook, **BTC, limit=5)
    assert (len(book["b"]), len(book["a"])) == (5, 5)
    assert ask(sdk.get_price_limit, **BTC)["buyLmt"]
    for category in ("inverse", "spot"):
        assert len(ask(sdk.get_instruments_info, category=category)["list"]) >= 10


def read_the_account(sdk: Any) -> None:
    assert ask(sdk.get_account_info)["unifiedMarginStatus"] in (5, 6)
    assert ask(sdk.get_api_key_information)["uta"] == 1
    assert ask(sdk.get_fee_rates, **BTC)["list"][0]["takerFeeRate"] == "0.00055"
    assert ask(sdk.get_coin_info)["rows"]
    (wallet,) = ask(sdk.get_wallet_balance, accountType="UNIFIED")["list"]
    assert wallet["coin"][0]["walletBalance"] == "1000000"
    ask(sdk.set_leverage, **BTC, buyLeverage="20", sellLeverage="20")
    with pytest.raises(exceptions.InvalidRequestError, match="110043"):
        sdk.set_leverage(**BTC, buyLeverage="20", sellLeverage="20")
    with pytest.raises(exceptions.InvalidRequestError, match="110025"):
        sdk.switch_position_mode(**BTC, mode=0)


def open_and_close(sdk: Any) -> None:
    market = {**BTC, "orderType": "Market"}
    ask(sdk.place_order, **market, side="Buy", qty="0.5", orderLinkId="open-1")
    row = poll(lambda: ask(sdk.get_positions, category="linear", settleCoin="USDT")["list"])[0]
    assert (row["side"], row["size"], row["leverage"]) == ("Buy", "0.5", "20")
    made = ask(
        sdk.place_order, **market, side="Sell", qty="0.5", reduceOnly=True, orderLinkId="close-1"
    )
    closed = poll(lambda: ask(sdk.get_order_history, **BTC, orderLinkId="close-1")["list"])[0]
    assert closed["orderId"] == made["orderId"]
    assert (closed["orderStatus"], closed["side"], closed["cumExecQty"]) == (
        "Filled",
        "Sell",
        "0.5",
    )
    assert closed["reduceOnly"] is True
    fills = ask(sdk.get_executions, **BTC)["list"]
    assert {fill["orderLinkId"] for fill in fills} == {"open-1", "close-1"}
    (pnl,) = ask(sdk.get_closed_pnl, **BTC)["list"]
    assert (pnl["side"], pnl["closedSize"]) == ("Sell", "0.5")
    with pytest.raises(exceptions.InvalidRequestError, match="110017"):
        sdk.place_order(**market, side="Sell", qty="0.5", reduceOnly=True)


def rest_and_cancel(sdk: Any) -> None:
    order = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "99500.00"}
    made = ask(sdk.place_order, **order)
    poll(lambda: ask(sdk.get_open_orders, **BTC)["list"])
    time.sleep(0.1)
    assert ask(sdk.cancel_order, **BTC, orderId=made["orderId"]) == made
    assert ask(sdk.get_open_orders, **BTC)["list"] == []
    batch = [{k: v for k, v in order.items() if k != "category"}, {"symbol": "FOO"}]
    good, bad = ask(sdk.place_batch_order, category="linear", request=batch)["list"]
    assert good["orderId"]
    assert bad["orderId"] == ""


@pytest.mark.parametrize(
    "script", [read_the_market, read_the_account, open_and_close, rest_and_cancel]
)
async def test_the_sdk_works_unchanged(sdk: Any, script: Callable[[Any], None]) -> None:
    if script is open_and_close:
        await asyncio.to_thread(sdk.set_leverage, **BTC, buyLeverage="20", sellLeverage="20")
    await asyncio.to_thread(script, sdk)


def listen(account: PaperAccount, got: list[tuple[str, Any]], enough: threading.Event) -> list[Any]:
    """Public and private SDK streams that note what comes."""

    def note(kind: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            got.append((kind, message))
            wanted = {"ticker", "book", "order", "execution", "position", "wallet"}
            if {name for name, _ in got} == wanted:
                enough.set()

        return take

    public = unified_trading.WebSocket(testnet=False, channel_type="linear")
    private = unified_trading.WebSocket(
        testnet=False,
        channel_type="private",
        api_key=account.key,
        api_secret=account.secret,
    )
    public.ticker_stream(symbol="BTCUSDT", callback=note("ticker"))
    public.orderbook_stream(depth=1, symbol="BTCUSDT", callback=note("book"))
    private.order_stream(callback=note("order"))
    private.execution_stream(callback=note("execution"))
    private.position_stream(callback=note("position"))
    private.wallet_stream(callback=note("wallet"))
    return [public, private]


async def test_the_sdk_s_streams_work_unchanged(paper: PaperServer, account: PaperAccount) -> None:
    got: list[tuple[str, Any]] = []
    enough = threading.Event()
    streams = await asyncio.to_thread(listen, account, got, enough)
    try:
        # The subscriptions are sent without waiting for their acks.
        for n in range(5):
            paper.trade(account, "BTCUSDT", "Buy", f"0.{n + 1}")
            if await asyncio.to_thread(enough.wait, 2):
                break
        assert enough.is_set(), {kind for kind, _ in got}
        (order,) = next(message for kind, message in got if kind == "order")["data"]
        assert (order["symbol"], order["orderStatus"]) == ("BTCUSDT", "Filled")
        ticker = next(message for kind, message in got if kind == "ticker")
        assert float(ticker["data"]["markPrice"]) > 0
    finally:
        for stream in streams:
            await asyncio.to_thread(stream.exit)
