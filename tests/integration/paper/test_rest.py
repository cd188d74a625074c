"""REST over a real socket: envelope, headers, refusals, pages."""

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer

from .client import Client, until


async def test_a_good_answer_has_bybit_s_envelope_and_limit_headers(alice: Client) -> None:
    query = "accountType=UNIFIED"
    url = f"{alice.paper.url}/v5/account/wallet-balance?{query}"
    async with alice.http.get(url, headers=alice.signed(query)) as response:
        body = await response.json()
        assert response.status == 200
        assert list(body) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
        assert (body["retCode"], body["retMsg"]) == (0, "OK")
        assert response.headers["X-Bapi-Limit"] == "50"
        assert response.headers["X-Bapi-Limit-Status"] == "49"
        assert abs(int(response.headers["X-Bapi-Limit-Reset-Timestamp"]) - body["time"]) < 1000


async def test_an_unknown_path_is_an_empty_404(alice: Client) -> None:
    async with alice.http.get(f"{alice.paper.url}/v5/no/such/path") as response:
        assert (response.status, await response.read()) == (404, b"")
        assert response.headers["Content-Type"].startswith("application/json")
        assert "Traceid" in response.headers


async def test_a_body_with_get_is_403(alice: Client) -> None:
    url = f"{alice.paper.url}/v5/market/time"
    async with alice.http.request("GET", url, data=b"{}") as response:
        assert response.status == 403


async def test_no_credentials_is_401(alice: Client) -> None:
    async with alice.http.get(f"{alice.paper.url}/v5/account/info") as response:
        assert response.status == 401


async def test_wrong_key_clock_and_signature_have_their_codes(alice: Client) -> None:
    alice.offset_ms = 60_000
    assert (await alice.get("/v5/account/info"))["retCode"] == 10002
    alice.offset_ms = -6000
    assert (await alice.get("/v5/account/info"))["retCode"] == 10002
    alice.offset_ms = 0
    headers = alice.signed("") | {"X-BAPI-SIGN": "0" * 64}
    async with alice.http.get(f"{alice.paper.url}/v5/account/info", headers=headers) as response:
        assert (await response.json())["retCode"] == 10004
    headers["X-BAPI-API-KEY"] = "nobody"
    async with alice.http.get(f"{alice.paper.url}/v5/account/info", headers=headers) as response:
        assert (response.status, (await response.json())["retCode"]) == (200, 10003)


async def test_a_read_only_key_reads_and_does_not_trade(
    http: aiohttp.ClientSession, paper: PaperServer
) -> None:
    reader = Client(http, paper, paper.add_account("reader", read_only=True))
    assert (await reader.market("Buy", "0.1"))["retCode"] == 10005
    assert (await reader.get("/v5/user/query-api"))["result"]["readOnly"] == 1


async def test_positions_show_twenty_by_default_and_page_by_their_cursor(alice: Client) -> None:
    symbols = [i.symbol for i in alice.paper.venue.market.listing.all()][:23]
    for symbol in symbols:
        quote = alice.paper.venue.market.quote("linear", symbol)  # type: ignore[arg-type]  # a word
        qty = max(quote.instrument.min_qty, quote.instrument.floor_qty(100 / quote.mark))
        alice.paper.trade(alice.account, symbol, "Buy", format(qty, "f"))
    first = (await alice.get("/v5/position/list", "category=linear&settleCoin=USDT"))["result"]
    assert len(first["list"]) == 20
    assert "%3A" in first["nextPageCursor"]
    assert "%2C" in first["nextPageCursor"]
    query = f"category=linear&settleCoin=USDT&cursor={first['nextPageCursor']}"
    second = (await alice.get("/v5/position/list", query))["result"]
    assert (len(second["list"]), second["nextPageCursor"]) == (3, "")
    seen = [row["symbol"] for row in first["list"] + second["list"]]
    assert sorted(seen) == sorted(symbols)
    whole = await alice.get("/v5/position/list", "category=linear&settleCoin=USDT&limit=200")
    assert len(whole["result"]["list"]) == 23


async def test_a_flat_row_comes_by_symbol_and_not_by_coin(alice: Client) -> None:
    alice.paper.trade(alice.account, "ETHUSDT", "Buy", "1")
    alice.paper.trade(alice.account, "ETHUSDT", "Sell", "1")
    by_coin = await alice.get("/v5/position/list", "category=linear&settleCoin=USDT")
    assert by_coin["result"]["list"] == []
    by_symbol = await alice.get("/v5/position/list", "category=linear&symbol=BTCUSDT")
    (row,) = by_symbol["result"]["list"]
    assert (row["side"], row["size"], row["seq"]) == ("", "0", -1)
    assert (await alice.get("/v5/position/list", "category=linear"))["retCode"] == 10001
    for category in ("inverse", "option"):
        body = await alice.get("/v5/position/list", f"category={category}")
        assert body["result"] == {"category": category, "list": [], "nextPageCursor": ""}


async def test_an_order_is_seen_in_realtime_at_once_and_in_history_later(alice: Client) -> None:
    made = (await alice.market("Buy", "0.2", orderLinkId="seen"))["result"]
    by_link = "category=linear&orderLinkId=seen"

    async def filled() -> bool:
        rows = (await alice.get("/v5/order/realtime", by_link))["result"]["list"]
        return bool(rows) and rows[0]["orderStatus"] == "Filled"

    await until(filled)
    assert (await alice.get("/v5/order/history", by_link))["result"]["list"] == []
    open_only = await alice.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT")
    assert open_only["result"]["list"] == []
    closed = await alice.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT&openOnly=1")
    assert [row["orderId"] for row in closed["result"]["list"]] == [made["orderId"]]

    async def in_history() -> bool:
        return bool((await alice.get("/v5/order/history", by_link))["result"]["list"])

    await until(in_history)
    fills = await alice.get("/v5/execution/list", by_link)
    row = fills["result"]["list"][0]
    assert (row["execType"], row["orderLinkId"], row["closedSize"]) == ("Trade", "seen", "0")
    assert "positionIdx" not in row


async def test_a_batch_answers_for_each_order(alice: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}
    body = await alice.post(
        "/v5/order/create-batch",
        category="linear",
        request=[{**order, "orderLinkId": "b1"}, {**order, "side": "Sell", "reduceOnly": True}],
    )
    assert body["retCode"] == 0
    good, bad = body["result"]["list"]
    assert good["orderId"]
    assert good["createAt"]
    assert (bad["orderId"], bad["createAt"]) == ("", "")
    assert [note["code"] for note in body["retExtInfo"]["list"]] == [0, 110017]


async def test_the_eleventh_order_within_a_second_is_10006(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the ten take here.
    monkeypatch.setattr("positiond.bybit.paper.limits.WINDOW_MS", 60_000)
    codes = [
        (await alice.post("/v5/order/cancel", category="linear", symbol="BTCUSDT", orderId="x"))[
            "retCode"
        ]
        for _ in range(11)
    ]
    assert codes == [110001] * 10 + [10006]


async def test_a_resting_order_can_be_cancelled_once(alice: Client) -> None:
    limit = {"category": "linear", "symbol": "BTCUSDT"}
    made = await alice.post(
        "/v5/order/create", **limit, side="Buy", orderType="Limit", qty="0.1", price="99500.00"
    )
    order_id = made["result"]["orderId"]

    async def cancelled() -> bool:
        body = await alice.post("/v5/order/cancel", **limit, orderId=order_id)
        return bool(body["retCode"] == 0)

    await until(cancelled)
    again = await alice.post("/v5/order/cancel", **limit, orderId=order_id)
    assert again["retCode"] == 110001


@pytest.mark.parametrize(
    "query",
    [
        "category=futures",
        "category=linear&symbol=FOO",
        "category=linear&limit=0",
        "category=linear&limit=1001",
        "category=linear&limit=x",
    ],
)
async def test_a_bad_parameter_is_10001(alice: Client, query: str) -> None:
    assert (await alice.get("/v5/market/instruments-info", query))["retCode"] == 10001


async def test_instruments_are_paged_and_true_to_life(alice: Client) -> None:
    first = await alice.get("/v5/market/instruments-info", "category=linear&limit=150")
    cursor = first["result"]["nextPageCursor"]
    rest = await alice.get(
        "/v5/market/instruments-info", f"category=linear&limit=150&cursor={cursor}"
    )
    assert len(first["result"]["list"]) == 150
    assert 10 < len(rest["result"]["list"]) < 150
    assert rest["result"]["nextPageCursor"] == ""
    btc = first["result"]["list"][0]
    assert btc["symbol"] == "BTCUSDT"
    assert btc["priceFilter"]["tickSize"] == "0.10"
    assert btc["lotSizeFilter"]["qtyStep"] == "0.001"
    assert btc["lotSizeFilter"]["maxMktOrderQty"] == "500.000"
    assert btc["lotSizeFilter"]["minNotionalValue"] == "5"
    assert btc["fundingInterval"] == 480


async def test_while_paused_prices_stand_still_and_the_rest_goes_on(alice: Client) -> None:
    await alice.control("POST", "pause")
    before = (await alice.get("/v5/market/tickers", "category=linear"))["result"]["list"]
    made = alice.paper.engine.now_ms
    await alice.market("Buy", "0.1")

    async def time_passed() -> bool:
        return alice.paper.engine.now_ms > made + 300

    await until(time_passed)
    after = (await alice.get("/v5/market/tickers", "category=linear"))["result"]["list"]
    assert [row["markPrice"] for row in before] == [row["markPrice"] for row in after]
    await alice.control("POST", "resume")

    async def moved() -> bool:
        now = (await alice.get("/v5/market/tickers", "category=linear"))["result"]["list"]
        moved = [a["markPrice"] != b["markPrice"] for a, b in zip(now, after, strict=True)]
        return bool(sum(moved) > 0.5 * len(moved))

    await until(moved)


async def test_the_orders_of_a_batch_above_the_limit_fail_one_by_one(alice: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.001"}
    answer = await alice.post("/v5/order/create-batch", category="linear", request=[order] * 12)
    assert answer["retCode"] == 0
    codes = [item["code"] for item in answer["retExtInfo"]["list"]]
    assert codes == [0] * 10 + [10006] * 2
    assert [bool(row["orderId"]) for row in answer["result"]["list"]] == [True] * 10 + [False] * 2
