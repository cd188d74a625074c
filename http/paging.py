"""Pages of a list by key: opening time and id, so that rows that come or go never shift a page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from ..daemon.domain.errors import InvalidInput
from ..daemon.domain.views import PositionView

LARGEST_PAGE: Final = 1_000

Key = tuple[datetime, UUID]


def page(
    views: Sequence[PositionView], after: Key | None, limit: int
) -> tuple[list[PositionView], str | None]:
    """At most `limit` views after the key, oldest first, and the cursor where there are more."""
    ordered = sorted((view for view in views if after is None or _key(view) > after), key=_key)
    shown = ordered[:limit]
    return shown, _cursor(_key(shown[-1])) if len(ordered) > limit else None


def read_cursor(text: str) -> Key:
    """The key in a cursor that we gave out; InvalidInput for anything else."""
    try:
        at, _, id_ = base64.urlsafe_b64decode(text.encode("ascii")).decode("ascii").partition("|")
        opened_at = datetime.fromisoformat(at)
        key = (opened_at, UUID(id_))
    except (ValueError, binascii.Error) as error:
        raise _not_a_cursor() from error
    if opened_at.tzinfo is None:
        raise _not_a_cursor()
    return key


def read_limit(text: str) -> int:
    # The length first: Python refuses to read a number of thousands of digits.
    is_number = len(text) <= len(str(LARGEST_PAGE)) and text.isascii() and text.isdecimal()
    if not is_number or not 1 <= int(text) <= LARGEST_PAGE:
        raise InvalidInput(
            "invalid-value", f"'limit' must be a number from 1 to {LARGEST_PAGE}.", field="limit"
        )
    return int(text)


def _key(view: PositionView) -> Key:
    return view.position.opened_at, view.position.id


def _cursor(key: Key) -> str:
    at, id_ = key
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id_}".encode()).decode()


def _not_a_cursor() -> InvalidInput:
    return InvalidInput(
        "invalid-value", "'after' must be the 'next' of an earlier page.", field="after"
    )
