"""Where a component sits: its symbol in its account, and the positionIdx Bybit keeps it under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from .model import ZERO, AccountId, BucketKey, Category, Component, Holding, Side


@dataclass(frozen=True, slots=True, order=True)
class SymbolKey:
    """One symbol in one account: the unit of a position query, and of a closing lock."""

    account_id: AccountId
    category: Category
    symbol: str

    @classmethod
    def of(cls, bucket: BucketKey) -> SymbolKey:
        """The symbol that the bucket is one row of."""
        return cls(bucket.account_id, bucket.category, bucket.symbol)

    def bucket(self, position_idx: int) -> BucketKey:
        return BucketKey(self.account_id, self.category, self.symbol, position_idx)


def place_of(account_id: AccountId, component: Component) -> SymbolKey:
    """Where the component sits: its symbol, for spot the coin that its wallet balance is in.

    A spot leg whose coin is not known yet stands at its own symbol, where nothing can be read.
    """
    is_backed = component.category is Category.SPOT and component.coin is not None
    where = component.coin if is_backed and component.coin else component.symbol
    return SymbolKey(account_id, component.category, where)


def position_idx_for(side: Side, holdings: Iterable[Holding]) -> int:
    """The bucket of a leg, read off the exchange's own rows of the symbol.

    Rows 1 and 2 mean hedge mode (Bybit V5: position/list `positionIdx`); anything else one-way.
    """
    if any(holding.position_idx in (1, 2) for holding in holdings):
        return 1 if side is Side.BUY else 2
    return 0


def signed_size(holdings: Iterable[Holding], position_idx: int) -> Decimal:
    """What Bybit holds in the bucket, signed; rows that are not there hold nothing."""
    return sum((h.signed for h in holdings if h.position_idx == position_idx), ZERO)


def tracked(components: Iterable[Component], holdings: Iterable[Holding]) -> Mapping[int, Decimal]:
    """Signed sum of the open quantities per positionIdx."""
    rows = tuple(holdings)
    sums: dict[int, Decimal] = {}
    for component in components:
        idx = position_idx_for(component.side, rows)
        sums[idx] = sums.get(idx, ZERO) + component.signed_open
    return sums
