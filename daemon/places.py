"""Which buckets of ours an instrument moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .domain.buckets import SymbolKey
from .domain.model import AccountId, Category, Component
from .domain.portfolio import Portfolio
from .domain.verdict import symbol_of


def places_of(
    portfolio: Portfolio, account_id: AccountId, category: Category, symbol: str
) -> frozenset[SymbolKey]:
    """Where positions stand that a fill in the instrument may concern.

    A spot fill moves the coins of the legs in that symbol; what it does to other coins is told by
    the wallet (V5: wallet stream).
    """
    if category is not Category.SPOT:
        return frozenset({SymbolKey(account_id, category, symbol)})
    return frozenset(
        symbol_of(position, component)
        for position in portfolio.of_account(account_id)
        for component in position.components
        if component.category is Category.SPOT and component.symbol == symbol
    )


def with_coin(component: Component, coins: Mapping[str, str]) -> Component:
    """The leg with the coin that backs it, where that was unknown; `coins` by spot symbol."""
    is_unknown = component.category is Category.SPOT and component.coin is None
    coin = coins.get(component.symbol) if is_unknown else None
    return replace(component, coin=coin) if coin else component
