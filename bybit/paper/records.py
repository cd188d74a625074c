"""Records to JSON and back: Decimals and enums as strings, by the types the record declares."""

import types
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from .model import (
    Account,
    ClosedPnl,
    Counters,
    Delivery,
    Ended,
    Entry,
    Execution,
    ModeChoice,
    Order,
    Position,
    Record,
    SessionSettlement,
    Wallet,
)

KINDS: dict[str, type[Record]] = {
    "account": Account,
    "wallet": Wallet,
    "position": Position,
    "order": Order,
    "execution": Execution,
    "closed_pnl": ClosedPnl,
    "mode": ModeChoice,
    "entry": Entry,
    "delivery": Delivery,
    "settlement": SessionSettlement,
    "ended": Ended,
    "counters": Counters,
}


def plain_fields(record: Record) -> dict[str, Any]:
    """The record as JSON values. Holds an account's secret: for the ledger, not for a log."""
    return {f.name: _plain(getattr(record, f.name)) for f in fields(record)}


def to_json(record: Record) -> bytes:
    return orjson.dumps(plain_fields(record))


def from_json(kind: str, body: bytes) -> Record:
    """Raises KeyError or ValueError where the body is not a record of this kind."""
    cls = KINDS[kind]
    raw = orjson.loads(body)
    return cls(**{name: _typed(raw[name], hint) for name, hint in _hints(kind).items()})


@cache
def _hints(kind: str) -> dict[str, Any]:
    return get_type_hints(KINDS[kind])


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.value if isinstance(value, Enum) else value


def _typed(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (arm for arm in get_args(hint) if arm is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_typed(item, get_args(hint)[0]) for item in value)
    if isinstance(hint, type) and issubclass(hint, Decimal | Enum):
        return hint(value)
    return value
