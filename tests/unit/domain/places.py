"""Legs and rows of every category, where the shared builders know linear contracts alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import AccountId, Category, Component, Holding

from ...builders import ACCOUNT, component, holding


def spot_leg(
    quantity: str | Decimal = "1",
    symbol: str = "BTCUSDT",
    coin: str | None = "BTC",
    *,
    of: str = "pair",
    closed: str | Decimal = "0",
) -> Component:
    bought = component(quantity, symbol=symbol, of=of, closed=closed, category=Category.SPOT)
    return replace(bought, coin=coin)


def balance(net: str | Decimal, coin: str = "BTC") -> Holding:
    """A coin of the wallet; below zero where more of it was borrowed than is there."""
    return replace(holding(net, coin), category=Category.SPOT)


def row(
    signed: str | Decimal, symbol: str, category: Category = Category.LINEAR, *, idx: int = 0
) -> Holding:
    return replace(holding(signed, symbol, idx=idx), category=category)


def coin_key(coin: str = "BTC", account_id: AccountId = ACCOUNT) -> SymbolKey:
    return SymbolKey(account_id, Category.SPOT, coin)
