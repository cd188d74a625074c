"""What a key may do, and from where and until when."""

import time
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer

from .client import Client, sign

KEY = "/v5/user/query-api"
INFO = "/v5/account/info"


async def terms(alice: Client, **changed: Any) -> dict[str, Any]:
    return await alice.control("PATCH", "accounts", account=alice.account.uid, **changed)


async def test_a_usual_key_is_bound_to_nothing_and_ends_in_90_days(alice: Client) -> None:
    key = (await alice.get(KEY))["result"]
    assert (key["readOnly"], key["ips"], key["deadlineDay"]) == (0, ["*"], 89)
    assert key["permissions"]["Wallet"] == []
    assert key["permissions"]["ContractTrade"] == ["Order", "Position"]


async def test_a_read_only_key_reads_and_cannot_trade(alice: Client) -> None:
    await terms(alice, read_only=True)
    assert (await alice.get(KEY))["result"]["readOnly"] == 1
    assert (await alice.market("Buy", "0.1"))["retCode"] == 10005
    assert (await alice.get(INFO))["retCode"] == 0


async def test_a_right_to_withdraw_shows(alice: Client) -> None:
    await terms(alice, permissions={"Wallet": ["Withdraw", "AccountTransfer"], "Spot": []})
    shown = (await alice.get(KEY))["result"]["permissions"]
    assert shown["Wallet"] == ["Withdraw", "AccountTransfer"]
    assert shown["Spot"] == []
    assert shown["Derivatives"] == ["DerivativesTrade"]


async def test_without_the_right_to_order_an_order_is_10005(alice: Client) -> None:
    await terms(alice, permissions={"ContractTrade": ["Position"]})
    assert (await alice.market("Buy", "0.1"))["retCode"] == 10005
    leverage = {"buyLeverage": "5", "sellLeverage": "5"}
    body = {"category": "linear", "symbol": "BTCUSDT", **leverage}
    assert (await alice.post("/v5/position/set-leverage", **body))["retCode"] == 0


async def test_a_bound_key_works_from_its_addresses_alone(alice: Client) -> None:
    await terms(alice, ips=["10.1.2.3"])
    assert (await alice.get(INFO))["retCode"] == 10010
    assert (await alice.stream_auth())["success"] is False
    await terms(alice, ips=["10.1.2.3", "127.0.0.0/8"])
    key = (await alice.get(KEY))["result"]
    assert (key["ips"], key["deadlineDay"]) == (["10.1.2.3", "127.0.0.0/8"], -2)
    assert key["expiredAt"] == "1970-01-01T00:00:00Z"
    assert (await alice.stream_auth())["success"] is True


async def test_a_key_that_ran_out_is_33004(alice: Client) -> None:
    await terms(alice, expires_ms=int(time.time() * 1000) + 86_400_000 * 3 - 1000)
    assert (await alice.get(KEY))["result"]["deadlineDay"] == 2
    await terms(alice, expires_ms=1)
    assert (await alice.get(INFO))["retCode"] == 33004
    assert (await alice.stream_auth())["success"] is False
    await terms(alice, expires_ms=None)
    assert (await alice.get(INFO))["retCode"] == 0


async def test_a_stranger_learns_nothing_of_a_key_that_ran_out(alice: Client) -> None:
    await terms(alice, expires_ms=1)
    stamp = str(int(time.time() * 1000))
    headers = {
        "X-BAPI-API-KEY": alice.account.key,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-SIGN": sign("another secret", stamp),
    }
    async with alice.http.get(alice.paper.url + INFO, headers=headers) as reply:
        assert (await reply.json())["retCode"] == 10004


async def test_terms_are_kept_over_a_restart(http: aiohttp.ClientSession, tmp_path: Any) -> None:
    async with PaperServer(data_dir=tmp_path) as paper:
        alice = Client(http, paper, paper.add_account("alice"))
        await terms(alice, ips=["127.0.0.1"], permissions={"Wallet": ["Withdraw"]})
    async with PaperServer(data_dir=tmp_path) as paper:
        alice.paper = paper
        key = (await alice.get(KEY))["result"]
        assert (key["ips"], key["permissions"]["Wallet"]) == (["127.0.0.1"], ["Withdraw"])


@pytest.mark.parametrize(
    "faulty",
    [{"ips": "127.0.0.1"}, {"permissions": {"Wallet": "Withdraw"}}, {"read_only": "yes"}, {"x": 1}],
)
async def test_faulty_terms_are_refused(alice: Client, faulty: dict[str, Any]) -> None:
    assert (await terms(alice, **faulty))["status"] == 400
