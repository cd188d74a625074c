"""Every body that closing can send only closes."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.bybit.order_body import SignedBody, encode
from positiond.daemon.domain.model import Category, Side
from positiond.daemon.domain.orders import MarketOrder, ReduceOnlyOrder, SpotSell

CONTRACTS = [category for category in Category if category is not Category.SPOT]
quantities = st.decimals("0.000001", "100000", places=6)
slippages = st.none() | st.decimals("0.01", "10", places=2)
links = st.from_regex(r"\A[A-Za-z0-9_-]{1,36}\Z")
reducing = st.builds(
    ReduceOnlyOrder,
    st.sampled_from(CONTRACTS),
    st.sampled_from(["BTCUSDT", "BTCUSD", "ETH-28FEB25-2800-C"]),
    st.sampled_from([0, 1, 2]),
    st.sampled_from(Side),
    quantities,
    links,
    slippages,
)
selling = st.builds(SpotSell, st.sampled_from(["BTCUSDT", "ETHUSDC"]), quantities, links, slippages)


def body_of(order: MarketOrder) -> dict[str, object]:
    decoded: dict[str, object] = orjson.loads(encode(order))
    return decoded


@given(reducing | selling)
def test_every_body_closes_and_can_do_nothing_else(order: MarketOrder) -> None:
    body = body_of(order)
    if body["category"] == "spot":
        assert (body["side"], body["marketUnit"], body["isLeverage"]) == ("Sell", "baseCoin", 0)
        assert not {"reduceOnly", "positionIdx", "price"} & set(body)
    else:
        assert body["reduceOnly"] is True
        assert not {"price", "closeOnTrigger", "marketUnit", "isLeverage"} & set(body)
    assert body["orderType"] == "Market"
    assert Decimal(str(body["qty"])) == order.quantity
    assert body["orderLinkId"] == order.link_id
    assert ("slippageTolerance" in body) is (order.slippage is not None)


def test_a_reduce_only_order_reads_as_bybit_wants_it() -> None:
    order = ReduceOnlyOrder(
        Category.LINEAR, "BTCUSDT", 1, Side.SELL, Decimal("0.0030"), "c-1", Decimal("0.50")
    )
    assert encode(order) == (
        b'{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Market",'
        b'"qty":"0.0030","positionIdx":1,"reduceOnly":true,"orderLinkId":"c-1",'
        b'"slippageToleranceType":"Percent","slippageTolerance":"0.50"}'
    )


def test_a_spot_sale_reads_as_bybit_wants_it() -> None:
    assert encode(SpotSell("BTCUSDT", Decimal("1E-6"), "c-2")) == (
        b'{"category":"spot","symbol":"BTCUSDT","side":"Sell","orderType":"Market",'
        b'"qty":"0.000001","marketUnit":"baseCoin","isLeverage":0,"orderLinkId":"c-2"}'
    )


def test_a_spot_sale_carries_its_bound() -> None:
    body = body_of(SpotSell("BTCUSDT", Decimal(1), "c-3", Decimal(1)))
    assert (body["slippageToleranceType"], body["slippageTolerance"]) == ("Percent", "1")


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_a_quantity_of_nothing_is_never_encoded(quantity: str) -> None:
    for order in (
        SpotSell("BTCUSDT", Decimal(quantity), "c-4"),
        ReduceOnlyOrder(Category.LINEAR, "BTCUSDT", 0, Side.SELL, Decimal(quantity), "c-4"),
    ):
        with pytest.raises(ValueError, match="quantity"):
            encode(order)


def test_a_reduce_only_order_of_spot_is_never_encoded() -> None:
    with pytest.raises(ValueError, match="spot"):
        encode(ReduceOnlyOrder(Category.SPOT, "BTCUSDT", 0, Side.BUY, Decimal(1), "c-5"))


def test_a_signed_body_shows_nothing() -> None:
    assert repr(SignedBody(b"qty", {"X-BAPI-SIGN": "secret"})) == "SignedBody()"
