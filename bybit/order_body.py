"""The bodies of the only orders that closing sends: reducing a contract, or selling a coin held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

import orjson

from ..daemon.domain import money
from ..daemon.domain.model import Category, Side
from ..daemon.domain.orders import MarketOrder, ReduceOnlyOrder, SpotSell
from . import vocab


@dataclass(frozen=True, slots=True)
class SignedBody:
    """The bytes of an order and the headers that sign them; never shown."""

    body: bytes
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return "SignedBody()"


def encode(order: MarketOrder) -> bytes:
    """The body of order/create; ValueError for an order that could do anything but close."""
    if order.quantity <= 0:
        # Zero would mean "close all", which is never ours to ask.
        raise ValueError("an order needs a quantity above zero")
    match order:
        case ReduceOnlyOrder():
            body = _reducing(order)
        case SpotSell():
            body = _selling(order)
        case _:
            assert_never(order)
    return orjson.dumps({**body, **_bound(order.slippage)})


def _reducing(order: ReduceOnlyOrder) -> dict[str, object]:
    if order.category is Category.SPOT:
        raise ValueError("spot has no reduce-only orders")
    return {
        "category": order.category.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "orderType": vocab.OrderType.MARKET.value,
        "qty": money.plain(order.quantity),
        "positionIdx": order.position_idx,
        "reduceOnly": True,
        "orderLinkId": order.link_id,
    }


def _selling(order: SpotSell) -> dict[str, object]:
    return {
        "category": Category.SPOT.value,
        "symbol": order.symbol,
        "side": Side.SELL.value,
        "orderType": vocab.OrderType.MARKET.value,
        "qty": money.plain(order.quantity),
        # Said, not left to a default: the other unit would read the quantity as an amount.
        "marketUnit": vocab.MarketUnit.BASE_COIN.value,
        # Never on margin: what is not in the wallet is refused instead of borrowed.
        "isLeverage": 0,
        "orderLinkId": order.link_id,
    }


def _bound(slippage: Decimal | None) -> dict[str, object]:
    """A percentage outside of Bybit's range is Bybit's to refuse (110108, 110109)."""
    if slippage is None:
        return {}
    return {
        "slippageToleranceType": vocab.SlippageToleranceType.PERCENT.value,
        "slippageTolerance": money.plain(slippage),
    }
