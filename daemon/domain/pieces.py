"""One execution as a part of an explanation: what it did to a bucket, and whose doing it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from .deviations import CauseKind
from .model import ZERO, Category, Delivery, Fill
from .origins import Origin


@dataclass(frozen=True, slots=True)
class Piece:
    """`signed` is the effect on the bucket, `quantity` what was traded, unsigned.

    `fee` > 0 was taken from the traded coin itself (spot purchases); 0 otherwise.
    """

    category: Category
    signed: Decimal
    quantity: Decimal
    price: Decimal
    at: datetime
    seq: int
    origin: Origin
    order_id: str
    fee: Decimal
    is_away: bool

    @classmethod
    def of_fill(
        cls, fill: Fill, origin: Origin, signed: Decimal, is_away: Callable[[str, datetime], bool]
    ) -> Piece:
        has_order = origin.kind is not CauseKind.DELIVERY
        return cls(
            fill.category,
            signed,
            fill.quantity,
            fill.price,
            fill.executed_at,
            fill.seq or 0,
            origin,
            # A delivery is stored without an order: asking for it finds nothing.
            fill.order_id if has_order else "",
            fill.side.sign * fill.quantity - signed if fill.category is Category.SPOT else ZERO,
            is_away(fill.exec_id, fill.executed_at),
        )

    @classmethod
    def of_delivery(
        cls, delivery: Delivery, origin: Origin, is_away: Callable[[str, datetime], bool]
    ) -> Piece:
        at = delivery.delivered_at
        signed = -delivery.side.sign * delivery.size
        away = is_away("", at)
        price, size = delivery.price, delivery.size
        return cls(delivery.category, signed, size, price, at, 0, origin, "", ZERO, away)

    def as_fee(self) -> Piece:
        """Only the fee of it."""
        return replace(self, signed=self.fee, quantity=self.fee)
