"""What the loops need of the edges, as small protocols; the only `async` of the domain.

Every method raises the domain's own errors: StoreUnavailable for a database that does not answer;
ExchangeUnreachable, ExchangeBusy, ExchangeRefused or CredentialsRefused for Bybit. A read that
could not be completed raises: no method ever returns part of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NoReturn, Protocol

from .events import AccountSink, MarketSink
from .model import (
    Account,
    AccountId,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    Credentials,
    DeviationKind,
    Environment,
    Fill,
    Holding,
    Instrument,
    KeyInfo,
    NewPosition,
    OrderReport,
    Position,
    PositionId,
    UserId,
)
from .orders import (
    AcceptedClose,
    CloseOrder,
    CloseRequest,
    LegResult,
    ReduceOnlyOrder,
    RequestState,
    SendOutcome,
    SignedOrder,
)

# --- the exchange ---------------------------------------------------------------------------


class AccountExchange(Protocol):
    """Signed access to one account."""

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        """Every bucket of the category with size above zero; all pages or an error."""
        ...

    async def holdings_in(self, category: Category, symbol: str) -> list[Holding]:
        """The symbol's buckets; rows come back even when flat."""
        ...

    def sign(self, order: ReduceOnlyOrder) -> SignedOrder:
        """Sign now, in server time; the order dies `recv_window` (at most 5 s) later."""
        ...

    async def send(self, signed: SignedOrder) -> SendOutcome:
        """Send once, never retried inside; does not raise for any outcome of the request."""
        ...

    async def find_order(self, order: ReduceOnlyOrder) -> OrderReport | None:
        """Look the link id up: realtime, closed realtime, history, executions. None proves nothing.

        The report is as Bybit gives it: whether it is ours is the caller's to judge.
        """
        ...

    async def fills_of(self, order: ReduceOnlyOrder, order_id: str | None) -> list[Fill]:
        """The order's executions, all pages, oldest first."""
        ...

    async def fills_since(self, category: Category, since: datetime) -> list[Fill]:
        """The account's executions of a category from `since` on, oldest first."""
        ...

    async def key_info(self) -> KeyInfo: ...

    async def server_now(self) -> datetime:
        """Server time by the measured clock offset (measured now if it never was)."""
        ...


class MarketFeed(Protocol):
    """One public stream of an environment and category."""

    def watch(self, symbols: frozenset[str]) -> None:
        """The symbols wanted from now on; idempotent, takes effect at once."""
        ...

    async def run(self, sink: MarketSink) -> NoReturn:
        """Hold the stream, reconnecting for ever with jittered backoff."""
        ...


class AccountFeed(Protocol):
    """One account's private stream."""

    async def run(self, sink: AccountSink) -> NoReturn:
        """Hold the stream, reconnecting for ever; each AccountFeedUp asks for a REST resync."""
        ...


class Gateway(Protocol):
    """The door to Bybit in all its environments."""

    def account(self, account: Account, credentials: Credentials) -> AccountExchange: ...

    def account_feed(self, account: Account, credentials: Credentials) -> AccountFeed: ...

    def market_feed(self, environment: Environment, category: Category) -> MarketFeed: ...

    def ban_left(self, environment: Environment) -> float:
        """Seconds for which our address may send nothing there (Bybit's 403); 0 in peace."""
        ...

    async def instruments(
        self, environment: Environment, category: Category, symbol: str | None = None
    ) -> list[Instrument]:
        """The trading rules of one symbol, or of all (every page, delisting ones included)."""
        ...


# --- the store ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketClaims:
    """All that is recorded in one symbol of an account: open components and the unassigned part."""

    components: tuple[Component, ...]
    unassigned: Mapping[int, Decimal]
    """Signed, per positionIdx."""


@dataclass(frozen=True, slots=True)
class DeviationRecord:
    """A bucket that deviates, for the store: signed quantities."""

    bucket: BucketKey
    kind: DeviationKind
    expected: Decimal
    actual: Decimal
    cause: str | None


@dataclass(frozen=True, slots=True)
class VerdictWrite:
    """The outcome of a full compare of one account's position."""

    position_id: PositionId
    is_altered: bool
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class PnlWrite:
    position_id: PositionId
    unrealized_pnl: Decimal | None
    pnl_at: datetime


class Positions(Protocol):
    """The recorded positions."""

    async def load_open(self) -> list[Position]:
        """Every ACTIVE or CLOSING position, with its components, ordered by opening time."""
        ...

    async def load(self, position_id: PositionId) -> Position | None: ...

    async def closed_of(
        self, user_id: UserId, account_id: AccountId | None, limit: int
    ) -> list[Position]:
        """The user's CLOSED positions, newest first."""
        ...

    async def record(
        self, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
    ) -> tuple[Position, bool]:
        """Store it with the given unassigned quantities (set, signed) in one transaction.

        The same external id again in the account returns the first one and False.
        """
        ...

    async def claims(self, account_id: AccountId, category: Category, symbol: str) -> BucketClaims:
        """What is recorded in the symbol by positions that are not CLOSED."""
        ...

    async def unassigned(self) -> Mapping[BucketKey, Decimal]: ...

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> None:
        """Set flags, open or refresh and end deviations, and journal each change: one transaction.

        `is_altered` of a position that left ACTIVE/CLOSING meanwhile is not touched.
        """
        ...

    async def write_pnl(self, rows: Sequence[PnlWrite]) -> None:
        """One set-based statement for all rows."""
        ...


class Closes(Protocol):
    """Close requests and their orders: the write-ahead log of closing."""

    async def accept(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
    ) -> AcceptedClose:
        """Commit the intent in one transaction: request, position CLOSING, key, journal.

        Joins the open request if there is one. A key seen in the last 24 h gives the original
        answer, even after CLOSED; with another fingerprint: InvalidInput
        `idempotency-key-reused`. Conflict `already-closed`; NotFound for an unknown or foreign
        position.
        """
        ...

    async def request(self, close_id: CloseId) -> CloseRequest | None: ...

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        """The newest request of each position that has one."""
        ...

    async def open_requests(self) -> list[CloseRequest]:
        """Oldest first."""
        ...

    async def orders(self, close_id: CloseId) -> list[CloseOrder]: ...

    async def move_request(
        self, close_id: CloseId, old: RequestState, new: RequestState, detail: str | None = None
    ) -> None:
        """Guarded: Conflict `lost-update` unless the request is in `old`."""
        ...

    async def write_ahead(
        self, close_id: CloseId, old: RequestState, orders: Sequence[CloseOrder]
    ) -> None:
        """Insert the orders and move the request to SENDING, in one transaction.

        Stamps the leader's epoch; Conflict `not-leader` if another daemon has taken over.
        """
        ...

    async def save_order(self, order: CloseOrder) -> None:
        """Store the order's state, ids, signing times and report fields (not `filled`)."""
        ...

    async def add_fills(self, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
        """Book the fills that are new by exec id, once and for all, in one transaction.

        Inserts executions, raises the order's `filled` and the component's `closed_quantity`, and
        adds fee and realized P&L to the position; returns the order as it now stands.
        """
        ...

    async def finish(
        self,
        close_id: CloseId,
        old: RequestState,
        new: RequestState,
        *,
        code: str | None,
        detail: str | None,
        legs: Sequence[LegResult],
        dust: Mapping[BucketKey, Decimal],
        now: datetime,
    ) -> None:
        """End the request and move its position, in one transaction, journalled.

        DONE → position CLOSED; FAILED or CANCELLED → back to ACTIVE. `dust` is added (signed) to
        the unassigned quantity of its bucket.
        """
        ...

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        """End a request that has sent nothing; Conflict `already-sending` otherwise."""
        ...

    def new_order_id(self) -> CloseOrderId: ...


class Switches(Protocol):
    """Operator switches kept in the database, so that a restart keeps them."""

    async def trading_paused(self) -> bool: ...


class Changes(Protocol):
    """Tells that recorded rows changed; a hint that shortens waits, never the truth."""

    async def wait(self, timeout: float) -> bool:
        """True on a notification, False after `timeout` seconds."""
        ...


class Leadership(Protocol):
    def held(self) -> AbstractAsyncContextManager[int]:
        """Wait for the database's one trading lock; gives the leader's epoch while held."""
        ...
