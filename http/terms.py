"""What may be said with a close, as it arrives in JSON or in a query → CloseTerms."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from ..daemon.domain import money
from ..daemon.domain.errors import InvalidInput, NotFound
from ..daemon.domain.model import PositionId
from ..daemon.domain.orders import CloseTerms
from .fields import Fields
from .replies import Json

LONGEST_PLAN_ID: Final = 100
MOST_TOGETHER: Final = 100
# Bybit's own bounds of slippageTolerance in percent (V5: order/create).
LEAST_SLIPPAGE: Final = Decimal("0.01")
MOST_SLIPPAGE: Final = Decimal(10)


def terms_of_one(fields: Fields) -> CloseTerms:
    """InvalidInput with the field; the caller has still to refuse what is left."""
    return CloseTerms(
        fraction=fraction(fields),
        slippage=_slippage(fields),
        cancel_resting=_cancel_resting(fields),
        expected_plan=(
            fields.text("expected_plan", longest=LONGEST_PLAN_ID)
            if fields.has("expected_plan")
            else None
        ),
    )


def terms_of_set(fields: Fields) -> CloseTerms:
    """Several close wholly and without a preview: one plan is of one position."""
    return CloseTerms(slippage=_slippage(fields), cancel_resting=_cancel_resting(fields))


def fraction(fields: Fields) -> Decimal | None:
    """Above 0, at most 1; None where it is not said: all of it."""
    if not fields.has("fraction"):
        return None
    part = fields.decimal("fraction")
    if not 0 < part <= 1:
        raise InvalidInput(
            "invalid-value",
            f"'{fields.at('fraction')}' must be above 0 and at most 1: "
            '"0.25" closes a quarter of each leg.',
            field=fields.at("fraction"),
        )
    return part


def positions_of_set(fields: Fields) -> list[PositionId]:
    """In the order given; what is no UUID is as unknown as any other."""
    where = fields.at("position_ids")
    given = fields.uuids("position_ids", most=MOST_TOGETHER)
    if not given:
        raise InvalidInput("invalid-value", f"'{where}' must name a position.", field=where)
    ids: list[PositionId] = []
    for index, parsed in enumerate(given):
        if parsed is None:
            raise NotFound(
                "unknown-position", "There is no such position.", field=f"{where}[{index}]"
            )
        if parsed in ids:
            raise InvalidInput(
                "duplicate-position", f"{parsed} stands twice in it.", field=f"{where}[{index}]"
            )
        ids.append(PositionId(parsed))
    return ids


def canonical(terms: CloseTerms) -> Json:
    """What was said, and nothing of what was not: the same for the same terms."""
    said: Mapping[str, object] = {
        "fraction": _digits(terms.fraction),
        "slippage": _digits(terms.slippage),
        "cancel_resting": terms.cancel_resting or None,
        "expected_plan": terms.expected_plan,
    }
    return {name: value for name, value in said.items() if value is not None}


def _slippage(fields: Fields) -> Decimal | None:
    if not fields.has("slippage"):
        return None
    percent = fields.decimal("slippage")
    # Bounds first: the quotient by the step of a number of 40 digits is not exact.
    is_within = LEAST_SLIPPAGE <= percent <= MOST_SLIPPAGE
    if not is_within or not money.is_on_step(percent, LEAST_SLIPPAGE):
        raise InvalidInput(
            "invalid-value",
            f"'{fields.at('slippage')}' is in percent, from 0.01 to 10 with at most two decimals: "
            '"0.5" fills at most half a percent from the best price.',
            field=fields.at("slippage"),
        )
    return percent


def _cancel_resting(fields: Fields) -> bool:
    return fields.has("cancel_resting") and fields.flag("cancel_resting")


def _digits(number: Decimal | None) -> str | None:
    if number is None:
        return None
    text = money.plain(number)
    return text.rstrip("0").rstrip(".") if "." in text else text
