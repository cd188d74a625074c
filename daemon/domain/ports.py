"""What the loops need of the edges, as small protocols; the only `async` of the domain.

Every method raises the domain's own errors: StoreUnavailable for a database that does not answer;
ExchangeUnreachable, ExchangeBusy, ExchangeRefused or CredentialsRefused for Bybit. A read that
could not be completed raises: no method ever returns part of a list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import NoReturn, Protocol

from .buckets import SymbolKey
from .deviations import DeviationRow
from .events import AccountSink, MarketSink
from .funding import FundingClaim, FundingPayment, FundingShare
from .history import PnlPoint
from .model import (
    Account,
    AccountId,
    BucketKey,
    Category,
    Credentials,
    Delivery,
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
    CloseRequest,
    MarketOrder,
    OrderBook,
    RestingOrder,
    SendOutcome,
    SignedOrder,
)
from .records import (
    BucketClaims,
    DeviationRecord,
    JournalEvent,
    PnlWrite,
    PositionEdit,
    VerdictWrite,
)
from .resolving import Resolution

# --- the exchange ---------------------------------------------------------------------------


class AccountExchange(Protocol):
    """Signed access to one account."""

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        """Every bucket of the category with size above zero; all pages or an error.

        For spot, every coin of the wallet, whatever the settle coin.
        """
        ...

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        """The symbol's buckets; rows come back even when flat. For spot, `symbol` is the coin.

        `urgent` reads may use the part of every rate budget that is kept for closes.
        """
        ...

    def sign(self, order: MarketOrder) -> SignedOrder:
        """Sign now, in server time; the order dies `recv_window` (at most 5 s) later."""
        ...

    async def send(self, signed: SignedOrder) -> SendOutcome:
        """Send once, never retried inside; does not raise for any outcome of the request."""
        ...

    async def find_order(self, order: MarketOrder) -> OrderReport | None:
        """Look the link id up: realtime, closed realtime, history, executions. None proves nothing.

        The report is as Bybit gives it: whether it is ours is the caller's to judge.
        """
        ...

    async def fills_of(self, order: MarketOrder, order_id: str | None) -> list[Fill]:
        """The order's executions, all pages, oldest first."""
        ...

    async def fills_since(
        self,
        category: Category,
        since: datetime,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        urgent: bool = False,
    ) -> list[Fill]:
        """The account's executions of a category from `since` on, oldest first, funding included.

        `urgent` goes before all other reads: for closes only.

        Options need `symbol` or `base_coin`: Bybit answers for BTC alone otherwise.
        """
        ...

    async def deliveries_since(
        self, category: Category, symbol: str, since: datetime
    ) -> list[Delivery]:
        """Contracts of the symbol that expired in the account; the record may lag the event."""
        ...

    async def open_orders(self, category: Category, symbol: str) -> list[RestingOrder]:
        """Every open order of the symbol, conditional ones included."""
        ...

    async def cancel_order(self, category: Category, symbol: str, order_id: str) -> None:
        """Ask to cancel it; one that is gone already is no error. The ack proves nothing."""
        ...

    async def taker_fee_rate(self, category: Category, symbol: str) -> Decimal:
        """What a market order pays, as a part of its value."""
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

    async def order_book(
        self, environment: Environment, category: Category, symbol: str
    ) -> OrderBook:
        """The best levels just now; either side may be empty."""
        ...

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        """The trading rules of one symbol, or of all (every page, delisting ones included).

        `urgent` goes before all other reads: for closes only.
        """
        ...


# --- the store ------------------------------------------------------------------------------


class Positions(Protocol):
    """The recorded positions."""

    async def load_open(self) -> list[Position]:
        """Every ACTIVE or CLOSING position, with its components, ordered by opening time."""
        ...

    async def recorded_mark(self) -> str:
        """Another text whenever accounts, open positions or unassigned quantities are others.

        What a compare writes (the flag, its time, the stored P&L) does not change it.
        """
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

    async def recorded_as(self, account_id: AccountId, external_id: str) -> Position | None:
        """The account's position of that external id, whatever its status."""
        ...

    async def claims(self, account_id: AccountId, category: Category, symbol: str) -> BucketClaims:
        """What is recorded in the symbol by positions that are not CLOSED.

        A spot leg whose coin is not known yet stands at its own symbol, as `place_of` says, and is
        doubtful wherever its symbol begins like the coin asked for.
        """
        ...

    async def unassigned(self) -> Mapping[BucketKey, Decimal]: ...

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> list[DeviationRow]:
        """Set flags, open or refresh and end deviations, and journal each change: one transaction.

        `is_altered` of a position that left ACTIVE/CLOSING meanwhile is not touched. A cause that
        is None keeps the one on record. Gives the `deviating` buckets' rows as they now stand.
        """
        ...

    async def write_pnl(self, rows: Sequence[PnlWrite]) -> None:
        """One set-based statement for all rows."""
        ...

    async def set_coins(self, environment: Environment, coins: Mapping[str, str]) -> None:
        """Note the base coins of spot symbols on the components that do not have theirs yet."""
        ...

    async def edit(
        self, position_id: PositionId, user_id: UserId, change: PositionEdit, at: datetime
    ) -> Position:
        """Change name, note or tags (None: as it is), journalled; NotFound."""
        ...

    async def resolve(self, resolution: Resolution) -> list[Position]:
        """Apply it in one transaction, journalled with before and after.

        Ends the open deviations of its buckets with the action as their resolution, and closes the
        position (CLOSED) if nothing of it is open any more. Conflict `close-open` while a close is
        open on a position with a component in one of the buckets; Conflict `changed-meanwhile`
        unless every quantity is what the resolution says it was before. Gives every open position
        with a component in one of the buckets, and the resolved one, as they now stand.
        """
        ...


class Evidence(Protocol):
    """What happened: deviations, the journal, funding and P&L over time."""

    async def open_deviations(self) -> list[DeviationRow]: ...

    async def deviations_of(self, position_id: PositionId, limit: int) -> list[DeviationRow]:
        """Open and ended ones of its components' buckets, newest first."""
        ...

    async def events_of(self, position_id: PositionId, limit: int) -> list[JournalEvent]:
        """The journal's entries about the position and its deviations, newest first."""
        ...

    async def closes_of(self, position_id: PositionId, limit: int) -> list[CloseRequest]:
        """Its close requests, newest first."""
        ...

    async def owners_of(self, link_ids: Sequence[str]) -> Mapping[str, tuple[PositionId, str]]:
        """For those link ids that are of our own close orders: the position and its name."""
        ...

    async def funding_claims(self, symbol: SymbolKey, at: datetime) -> list[FundingClaim]:
        """The components in the symbol of positions that were open at `at`, with what was open
        of each then: quantity less our fills executed by then."""
        ...

    async def book_funding(
        self, payment: FundingPayment, shares: Sequence[FundingShare]
    ) -> frozenset[PositionId]:
        """Book each share once and for all (by account, exec id and position), in one transaction
        with the positions' sums; gives the positions whose sums rose."""
        ...

    async def funding_read_until(self, account_id: AccountId) -> datetime | None:
        """Up to when the account's funding is known to be complete; None: never read."""
        ...

    async def note_funding_read(self, account_id: AccountId, until: datetime) -> None: ...

    async def write_history(self, points: Sequence[PnlPoint]) -> None:
        """One set-based statement; a point that exists already is left."""
        ...

    async def history(
        self, position_id: PositionId, start: datetime, end: datetime, limit: int
    ) -> list[PnlPoint]:
        """Oldest first; evenly thinned to `limit` points where there are more."""
        ...

    async def thin_history(self, now: datetime) -> int:
        """Thin and drop old points by `history.TIERS`; how many rows went. Bounded per call."""
        ...


class Switches(Protocol):
    """Operator switches kept in the database, so that a restart keeps them."""

    async def trading_paused(self) -> bool: ...


class Changes(Protocol):
    """Tells that recorded rows changed; a hint that shortens waits, never the truth."""

    async def wait(self, timeout: float) -> bool:
        """True on a notification, False after `timeout` seconds."""
        ...


class Leadership(Protocol):
    def held(self, prepare: Callable[[], Awaitable[object]]) -> AbstractAsyncContextManager[int]:
        """Wait for the database's one trading lock; gives the leader's epoch while held.

        `prepare` is awaited with the lock, before the epoch begins.
        """
        ...
