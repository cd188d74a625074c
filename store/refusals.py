"""Which broken constraint of the schema means which of our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from ..daemon.domain.errors import Conflict, InvalidInput, NotFound, PositiondError

_MEANINGS: dict[str, Callable[[], PositiondError]] = {
    "users_username": lambda: Conflict(
        "username-taken", "there is a user of that name", field="username"
    ),
    "accounts_label": lambda: Conflict(
        "label-taken", "there is an account of that label", field="label"
    ),
    "accounts_key": lambda: Conflict(
        "key-on-file", "that API key is on file already", field="api_key"
    ),
    "accounts_user_id_fkey": lambda: NotFound("unknown-user", "there is no such user"),
    "synthetic_positions_account_id_fkey": lambda: NotFound(
        "unknown-account", "there is no such account", field="account_id"
    ),
    "synthetic_positions_live_account": lambda: NotFound(
        "unknown-account", "there is no such account", field="account_id"
    ),
    "position_components_instrument": lambda: InvalidInput(
        "duplicate-component",
        "two components of one position are in the same instrument",
        field="components",
    ),
    "position_components_spot_long": lambda: InvalidInput(
        "spot-short", "a spot component cannot be a short", field="components"
    ),
    "close_requests_end_once": lambda: Conflict("already-ended", "the close has ended already"),
    "close_order_parts_add_up": lambda: Conflict(
        "parts-unfit", "the parts of an order are not the order, or of a close that has ended"
    ),
    "close_requests_end_settled": lambda: Conflict(
        "orders-unsettled", "an order of the close is not settled"
    ),
}


@contextmanager
def explained() -> Iterator[None]:
    """Raise what a broken constraint means; InvalidInput for a value that breaks a check.

    Any other broken constraint is a bug of the caller's and passes through, without its DETAIL:
    that quotes the row, and with it what is hashed or sealed there.
    """
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        # On the error itself: as a cause it is printed with ours by whoever logs a traceback.
        error.detail = None
        meaning = _MEANINGS.get(error.constraint_name or "")
        if meaning is not None:
            raise meaning() from error
        if isinstance(error, asyncpg.CheckViolationError):
            raise InvalidInput("invalid-value", error.args[0]) from error
        raise
