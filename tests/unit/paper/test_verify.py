"""The exchange's signature check against the vectors that official clients agree on."""

import pytest
from positiond.bybit.paper.model import Account, Uid
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.paper.verify import (
    Unauthorized,
    signature,
    verify_request,
    verify_stream,
)

KEY, SECRET, NOW = "XXXXXXXXXX0000demo", "s3cr3t-for-test-vectors-only-0001", 1_760_000_000_000
ACCOUNTS = {KEY: Account(Uid("1"), "", KEY, SECRET, False, 0)}
POST = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Market","qty":"0.003",'
    '"reduceOnly":true,"positionIdx":0,"orderLinkId":"sp-7f3a-leg0-c1"}'
)
VECTORS = [
    (
        "category=linear&settleCoin=USDT&limit=200",
        "72bc59e65f7d70b8ee3bb427cc3ed6556f0060fcf39e6345c5aaaca00f572d13",
    ),
    (
        "category=linear&limit=200&settleCoin=USDT",
        "79a5db63e9240c4c61a25abc08545ac0bb5f300115d5b621805b14bebbc8fe9a",
    ),
    ("", "9ffcfd6c80fe66c594f995551711cc7077c29e201d58b54cfe99cc66af247502"),
    (
        "category=linear&limit=50&cursor=132766%3A2%2C132766%3A2",
        "b7d3b23fe4be8e4a7c63e38297b480884fa012f4cbc3820620e51bffa3772de4",
    ),
    (POST, "7ffdbb26142c73917ba5d4550591d244f69d55c3ffe32526029cc074f8752758"),
]


def headers(sign: str, stamp: int = NOW, window: str = "5000", key: str = KEY) -> dict[str, str]:
    return {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": str(stamp),
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": sign,
    }


@pytest.mark.parametrize(("tail", "sign"), VECTORS)
def test_the_published_vectors_verify(tail: str, sign: str) -> None:
    assert verify_request(headers(sign), tail.encode(), ACCOUNTS, NOW).key == KEY


def test_one_changed_byte_is_refused_with_10004() -> None:
    tail, sign = VECTORS[3]
    with pytest.raises(Refused) as refused:
        verify_request(headers(sign), tail.replace("%3A", ":").encode(), ACCOUNTS, NOW)
    assert refused.value.code == 10004
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("offset", "good"), [(0, True), (-999, True), (-1000, False), (5000, True), (5001, False)]
)
def test_the_time_rule_allows_the_window_back_and_a_second_ahead(offset: int, good: bool) -> None:
    tail, sign = VECTORS[0]
    if good:
        verify_request(headers(sign), tail.encode(), ACCOUNTS, NOW + offset)
        return
    with pytest.raises(Refused) as refused:
        verify_request(headers(sign), tail.encode(), ACCOUNTS, NOW + offset)
    assert refused.value.code == 10002


def test_an_unknown_key_is_10003_and_none_at_all_is_401() -> None:
    with pytest.raises(Refused) as refused:
        verify_request(headers("00", key="other"), b"", ACCOUNTS, NOW)
    assert refused.value.code == 10003
    with pytest.raises(Unauthorized):
        verify_request({}, b"", ACCOUNTS, NOW)


def test_the_stream_vector_verifies_until_it_expires() -> None:
    sign = "05766609388fe0b40c12627144fd053e979a12f9078393306f786fa6db7c0531"
    assert verify_stream(KEY, 1_760_000_010_000, sign, ACCOUNTS, NOW)
    assert verify_stream(KEY, 1_760_000_010_000, sign, ACCOUNTS, NOW + 10_000) is None
    assert verify_stream(KEY, 1_760_000_010_001, sign, ACCOUNTS, NOW) is None
    assert verify_stream("other", 1_760_000_010_000, sign, ACCOUNTS, NOW) is None


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(ACCOUNTS[KEY])
    assert len(signature(SECRET, b"")) == 64
