"""Scripted trouble: what should go wrong, where, how often; each counts how often it fired."""

import copy
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from .books import Books


class FaultKind(StrEnum):
    REJECT = "reject"
    RATE_LIMIT = "rate_limit"
    HTTP = "http"
    HANG = "hang"
    RESET = "reset"
    FRAME_DROP = "frame_drop"
    FRAME_DELAY = "frame_delay"
    FRAME_DUPLICATE = "frame_duplicate"
    FRAME_CORRUPT = "frame_corrupt"
    FRAME_REORDER = "frame_reorder"
    CUT = "cut"
    MUTE = "mute"
    THIN_BOOK = "thin_book"
    HALF_FILL = "half_fill"
    REJECT_ITEM = "reject_item"
    STALE_LIST = "stale_list"
    TRUNCATED_LIST = "truncated_list"
    LATE_LIST = "late_list"
    MISSING_KEYS = "missing_keys"
    CLOCK_SKEW = "clock_skew"


class When(StrEnum):
    """Before the request has any effect, or after it took effect and before its reply."""

    BEFORE = "before"
    AFTER = "after"


REPLY_KINDS = frozenset(
    {FaultKind.REJECT, FaultKind.RATE_LIMIT, FaultKind.HTTP, FaultKind.HANG, FaultKind.RESET}
)
FRAME_KINDS = frozenset(
    {
        FaultKind.FRAME_DROP,
        FaultKind.FRAME_DELAY,
        FaultKind.FRAME_DUPLICATE,
        FaultKind.FRAME_CORRUPT,
        FaultKind.FRAME_REORDER,
        FaultKind.CUT,
        FaultKind.MUTE,
    }
)
# Acks and pongs stand under `op/auth`, `op/subscribe`, `op/ping`; a connection that opens under
# `ws/private`, `ws/public/linear` and so on.
NAMED_ONLY = ("op/", "ws/")
LATE_KINDS = frozenset({FaultKind.LATE_LIST})
KEY_KINDS = frozenset({FaultKind.MISSING_KEYS})
DEPTH_KINDS = frozenset({FaultKind.THIN_BOOK, FaultKind.HALF_FILL})


@dataclass(slots=True)
class Fault:
    """One scripted fault. `where` is a glob over the REST path, stream path or topic it hits."""

    ident: int
    kind: FaultKind
    where: str = "*"
    symbol: str = "*"
    account: str = ""
    when: When = When.BEFORE
    count: int | None = None
    skip: int = 0
    chance: float = 1.0
    code: int = 10016
    message: str = "Internal server error"
    status: int = 502
    ms: int = 30_000
    depth: Decimal = Decimal(0)
    share: Decimal = Decimal("0.5")
    keep: int = 0
    keys: tuple[str, ...] = ()
    fired: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(0), repr=False)
    snapshot: Books | None = field(default=None, repr=False)

    def described(self) -> dict[str, Any]:
        """As `GET /_paper/faults` shows it."""
        return {
            "id": self.ident,
            "kind": self.kind,
            "where": self.where,
            "symbol": self.symbol,
            "account": self.account,
            "when": self.when,
            "count": self.count,
            "fired": self.fired,
        }


FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "where": str,
    "symbol": str,
    "account": str,
    "count": int,
    "skip": int,
    "chance": (int, float),
    "code": int,
    "message": str,
    "status": int,
    "ms": int,
    "keep": int,
}


class FaultBoard:
    """The faults in force, asked at every place where one could strike."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._added = 0

    def add(self, spec: Mapping[str, Any], books: Books, seed: int) -> Fault:
        """Raises ValueError where the spec is not a fault; a stale list keeps these books."""
        _check_fields(spec)
        self._added += 1
        fault = Fault(
            ident=self._added,
            kind=FaultKind(str(spec.get("kind"))),
            when=When(spec.get("when", When.BEFORE)),
            depth=_number(spec, "depth", "0"),
            share=_number(spec, "share", "0.5"),
            keys=_texts(spec, "keys"),
            rng=random.Random(f"{spec.get('seed', seed)}/fault/{self._added}"),
            **{name: spec[name] for name in FIELDS if name in spec},
        )
        if fault.kind is FaultKind.STALE_LIST:
            fault.snapshot = kept(books)
        self._faults[fault.ident] = fault
        return fault

    def remove(self, ident: int | None = None) -> None:
        """Takes back one fault, or all of them."""
        if ident is None:
            self._faults.clear()
        else:
            self._faults.pop(ident, None)

    def all(self) -> list[Fault]:
        return list(self._faults.values())

    def take(
        self,
        kinds: frozenset[FaultKind],
        where: str,
        uid: str,
        when: When = When.BEFORE,
        symbol: str = "",
    ) -> Fault | None:
        """The first fault that strikes here, counted as fired."""
        for fault in self._faults.values():
            if fault.kind in kinds and fault.when is when and _hits(fault, where, uid, symbol):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.rng.random() >= fault.chance:
                    continue
                fault.fired += 1
                return fault
        return None

    def thinned(
        self, rows: list[dict[str, Any]], where: str, uid: str, symbol: str = ""
    ) -> list[dict[str, Any]]:
        """The rows without the optional keys that a fault leaves out of them."""
        fault = self.take(KEY_KINDS, where, uid, symbol=symbol)
        if fault is None:
            return rows
        return [{n: v for n, v in row.items() if n not in fault.keys} for row in rows]

    def skew_ms(self) -> int:
        """How far the venue's clock is off now; each look at it counts as fired."""
        skew = 0
        for fault in self._faults.values():
            if fault.kind is FaultKind.CLOCK_SKEW and not _is_spent(fault):
                fault.fired += 1
                skew += fault.ms
        return skew


def _check_fields(spec: Mapping[str, Any]) -> None:
    for name, value in spec.items():
        if name in ("kind", "when", "depth", "share", "keys", "seed"):
            continue
        if name not in FIELDS:
            raise ValueError(f"unknown field {name}")
        if not isinstance(value, FIELDS[name]):
            raise ValueError(f"{name} is of the wrong type")


def _number(spec: Mapping[str, Any], name: str, default: str) -> Decimal:
    try:
        number = Decimal(str(spec.get(name, default)))
    except InvalidOperation:
        raise ValueError(f"{name} is not a number") from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"{name} is not a number of 0 or more")
    return number


def _texts(spec: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = spec.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is not a list of texts")
    return tuple(value)


def _is_spent(fault: Fault) -> bool:
    return fault.count is not None and fault.fired >= fault.count


def _hits(fault: Fault, where: str, uid: str, symbol: str) -> bool:
    if _is_spent(fault):
        return False
    if fault.account not in ("", uid) or not fnmatchcase(symbol, fault.symbol):
        return False
    # Acks, pongs and new connections are hit only by a fault that names them: a lost ack is
    # another trouble than a lost push, and a faulty REST is not a faulty stream.
    if where.startswith(NAMED_ONLY) and not fault.where.startswith(NAMED_ONLY):
        return fault.kind is FaultKind.MUTE and fault.where == "*"
    return fnmatchcase(where, fault.where)


INNER = (list, deque, dict)


def kept(books: Books) -> Books:
    """The books as they are now, untouched by what follows; the records are immutable."""
    twin = copy.copy(books)
    for name, value in vars(books).items():
        held = copy.copy(value)
        if isinstance(held, dict):
            inner = {k: copy.copy(v) for k, v in held.items() if isinstance(v, INNER)}
            held.update(inner)
        setattr(twin, name, held)
    return twin
