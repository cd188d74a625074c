"""The exchange's own check of signed requests: over the raw bytes as they arrived."""

import hashlib
import hmac
from collections.abc import Mapping

from ..vocab import (
    DEFAULT_RECV_WINDOW_MS,
    HEADER_KEY,
    HEADER_RECV_WINDOW,
    HEADER_SIGN,
    HEADER_TIMESTAMP,
    MAX_CLOCK_LEAD_MS,
    WS_AUTH_PREFIX,
)
from .model import Account
from .refusals import Refused


class Unauthorized(Exception):
    """No credentials at all: the venue answers HTTP 401 with an empty body."""


def signature(secret: str, payload: bytes) -> str:
    """HMAC-SHA256 as lowercase hex (Bybit V5: guide)."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def verify_request(
    headers: Mapping[str, str],
    tail: bytes,
    accounts: Mapping[str, Account],
    server_ms: int | None,
) -> Account:
    """The account whose key signed `tail` (raw query or body); `server_ms` None skips the clock.

    Raises Refused 10003, 10002 or 10004, in this order, and Unauthorized without credentials.
    Whether the key may be used at all is asked after this: a stranger learns nothing about it.
    """
    key, stamp, sign = (headers.get(h, "") for h in (HEADER_KEY, HEADER_TIMESTAMP, HEADER_SIGN))
    if not (key and stamp and sign):
        raise Unauthorized
    account = accounts.get(key)
    if account is None:
        raise Refused(10003, "API key is invalid.")
    window = headers.get(HEADER_RECV_WINDOW, "")
    _check_time(stamp, window, server_ms)
    payload = f"{stamp}{key}{window}".encode() + tail
    if not hmac.compare_digest(signature(account.secret, payload), sign):
        shown = payload.decode(errors="replace")
        raise Refused(
            10004,
            f"error sign! origin_string[{shown}], please check your signature generation "
            "algorithm.",
        )
    return account


def _check_time(stamp: str, window: str, server_ms: int | None) -> None:
    """server − recv_window ≤ timestamp < server + 1000 (Bybit V5: guide)."""
    if not stamp.isdecimal() or not (window or "0").isdecimal():
        raise Refused(10001, "invalid timestamp or recv_window")
    width = int(window) if window else DEFAULT_RECV_WINDOW_MS
    if server_ms is None or server_ms - width <= int(stamp) < server_ms + MAX_CLOCK_LEAD_MS:
        return
    raise Refused(
        10002,
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{stamp}],server_timestamp[{server_ms}],recv_window[{width}]",
    )


def verify_stream(
    key: object,
    expires: object,
    sign: object,
    accounts: Mapping[str, Account],
    server_ms: int | None,
) -> Account | None:
    """The account of a WebSocket `auth`; None where the venue says only "Params Error"."""
    account = accounts.get(key) if isinstance(key, str) else None
    if account is None or not isinstance(sign, str) or not isinstance(expires, int | str):
        return None
    if not str(expires).isdecimal() or (server_ms is not None and int(expires) <= server_ms):
        return None
    expected = signature(account.secret, f"{WS_AUTH_PREFIX}{expires}".encode())
    return account if hmac.compare_digest(expected, sign) else None
