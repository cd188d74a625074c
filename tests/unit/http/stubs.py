"""In-memory ports and builders for the HTTP floor's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.errors import ConfigError, Conflict, InvalidInput, NotFound
from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.domain.model import (
    Account,
    AccountId,
    Booked,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    ComponentId,
    Credentials,
    DeviationKind,
    Environment,
    NewPosition,
    Position,
    PositionId,
    PositionStatus,
    PriceBasis,
    Side,
    UserId,
    Verdict,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseOrder,
    CloseRequest,
    CloseTerms,
    LegOutcome,
    LegResult,
    OrderState,
    RequestState,
    RestingOrder,
)
from positiond.daemon.domain.people import ApiToken, Identity, Scope, TokenId, User
from positiond.daemon.domain.records import JournalEvent, PositionEdit
from positiond.daemon.domain.resolving import ResolveAction
from positiond.daemon.domain.services import (
    ClosePlan,
    CloseStatus,
    PlanBlocker,
    PlannedLeg,
    Readiness,
)
from positiond.daemon.domain.views import (
    FeedState,
    Holdings,
    HoldingView,
    LegView,
    PositionDetail,
    PositionView,
)
from positiond.http.hub import Hub
from positiond.http.passwords import Passwords
from positiond.http.services import Services

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FEED = FeedState("live", "live", NOW, trading_paused=False)

# Parameters that would be far too weak in use; a test is not there to spend 64 MiB.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def uuid_of(text: str) -> UUID:
    """The same id for the same words."""
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


ALICE = User(UserId(uuid_of("alice")), "alice")
BOB = User(UserId(uuid_of("bob")), "bob")


def account_of(user: User) -> Account:
    return Account(
        AccountId(uuid_of(f"account of {user.username}")),
        user.id,
        f"{user.username}'s",
        Environment.PAPER,
        f"key-of-{user.username}-wxyz",
    )


def leg_view(
    name: str = "BTCUSDT",
    *,
    position: str = "pair",
    quantity: str = "0.5",
    entry: str = "100",
    price: str | None = "110",
    difference: str | None = "0",
) -> LegView:
    component = Component(
        ComponentId(uuid_of(f"{position}/{name}")),
        PositionId(uuid_of(position)),
        Category.LINEAR,
        name,
        Side.BUY,
        Decimal(quantity),
        Decimal(0),
        Decimal(entry),
    )
    mark = None if price is None else Decimal(price)
    return LegView(
        component=component,
        price=mark,
        price_basis=PriceBasis.MARK,
        price_at=None if mark is None else NOW,
        unrealized_pnl=None
        if mark is None
        else component.quantity * (mark - component.entry_price),
        actual=None if difference is None else component.quantity + Decimal(difference),
        difference=None if difference is None else Decimal(difference),
        pnl_currency="USDT",
        deviates=difference is not None and Decimal(difference) != 0,
    )


def position_view(
    name: str = "pair",
    *,
    owner: User = ALICE,
    status: PositionStatus = PositionStatus.ACTIVE,
    legs: tuple[LegView, ...] | None = None,
    verdict: Verdict = Verdict.IN_SYNC,
    verdict_reason: str | None = None,
    last_close: CloseRequest | None = None,
    opened_at: datetime = NOW,
) -> PositionView:
    legs = (leg_view(position=name),) if legs is None else legs
    pnls = [leg.unrealized_pnl for leg in legs]
    known = [pnl for pnl in pnls if pnl is not None]
    total = sum(known, Decimal(0)) if len(known) == len(pnls) else None
    position = Position(
        id=PositionId(uuid_of(name)),
        account_id=account_of(owner).id,
        user_id=owner.id,
        environment=Environment.PAPER,
        name=name,
        external_id=None,
        note="",
        tags=(),
        status=status,
        is_altered=verdict is Verdict.ALTERED,
        opened_at=opened_at,
        closed_at=NOW if status is PositionStatus.CLOSED else None,
        verified_at=NOW,
        unrealized_pnl=None,
        pnl_at=None,
        booked=(Booked("USDT", fees=Decimal("0.10")),),
        components=tuple(leg.component for leg in legs),
    )
    return PositionView(
        position=position,
        legs=legs,
        verdict=verdict,
        verdict_reason=verdict_reason,
        unrealized_pnl=total,
        pnl_currency="USDT",
        pnl_at=NOW,
        pnl_incomplete=None if total is not None else "BTCUSDT has no fresh price",
        verified_at=NOW,
        last_close=last_close,
        fees=Decimal("0.10"),
    )


def priced(name: str, price: str, *, owner: User = ALICE) -> PositionView:
    return position_view(name, owner=owner, legs=(leg_view(position=name, price=price),))


def deviation(
    symbol: str = "BTCUSDT",
    *,
    category: Category = Category.LINEAR,
    idx: int = 0,
    expected: str = "0.5",
    actual: str = "0.1",
    cause: Cause | None = None,
) -> DeviationRow:
    """An open one in alice's account, seen for a minute."""
    return DeviationRow(
        id=7,
        bucket=BucketKey(account_of(ALICE).id, category, symbol, idx),
        kind=DeviationKind.MISSING,
        expected=Decimal(expected),
        actual=Decimal(actual),
        first_seen=NOW - timedelta(minutes=1),
        last_verified=NOW,
        ended_at=None,
        cause=cause,
        resolution=None,
    )


ADL = Cause(
    CauseKind.ADL,
    "Long leg reduced by ADL 11:59:00, 0.4 BTC",
    Decimal("0.4"),
    Decimal("109.50"),
    NOW - timedelta(minutes=1),
    ("order-1",),
    while_away=True,
)


def altered_view() -> PositionView:
    """`pair` with 0.4 of its 0.5 gone, and why."""
    view = position_view(legs=(leg_view(difference="-0.4"),), verdict=Verdict.ALTERED)
    return replace(view, deviations=(deviation(cause=ADL),))


def close_request(
    position: str = "pair", state: RequestState = RequestState.FAILED, code: str | None = "residual"
) -> CloseRequest:
    component = ComponentId(uuid_of(f"{position}/BTCUSDT"))
    return CloseRequest(
        id=CloseId(uuid_of(f"close of {position}")),
        position_id=PositionId(uuid_of(position)),
        account_id=account_of(ALICE).id,
        requested_by=ALICE.id,
        state=state,
        code=code,
        detail=None,
        open_at_acceptance={component: Decimal("0.5")},
        legs=(LegResult(component, LegOutcome.RESIDUAL, Decimal("0.3"), Decimal("109.5"), "part"),),
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
        ended_at=None if state.is_open else NOW + timedelta(seconds=3),
    )


def close_order(position: str = "pair") -> CloseOrder:
    return CloseOrder(
        id=CloseOrderId(uuid_of("order")),
        close_id=CloseId(uuid_of(f"close of {position}")),
        component_id=ComponentId(uuid_of(f"{position}/BTCUSDT")),
        bucket=BucketKey(account_of(ALICE).id, Category.LINEAR, "BTCUSDT", 0),
        attempt=1,
        link_id="pd-0123",
        side=Side.SELL,
        quantity=Decimal("0.5"),
        state=OrderState.TERMINAL,
        order_id="venue-1",
        signed_at=NOW,
        dies_at=NOW + timedelta(seconds=5),
        filled=Decimal("0.3"),
        average_price=Decimal("109.5"),
        status="cancelled",
        detail=None,
        created_at=NOW,
    )


@dataclass
class StubBoard:
    shown: dict[UserId, list[PositionView]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    async def views(
        self,
        user_id: UserId,
        statuses: frozenset[PositionStatus],
        account_id: AccountId | None = None,
    ) -> list[PositionView]:
        return [
            view
            for view in self.shown.get(user_id, [])
            if view.position.status in statuses and account_id in (None, view.position.account_id)
        ]

    async def view(self, user_id: UserId, position_id: PositionId) -> PositionView | None:
        views = self.shown.get(user_id, [])
        return next((view for view in views if view.position.id == position_id), None)

    def open_views(self, user_id: UserId) -> list[PositionView]:
        views = self.shown.get(user_id, [])
        return [view for view in views if view.position.status is not PositionStatus.CLOSED]

    def feed_state(self, user_id: UserId) -> FeedState:
        return FEED

    def readiness(self) -> Readiness:
        return Readiness(self.reasons)


@dataclass
class StubRecorder:
    recorded: list[tuple[UserId, NewPosition]] = field(default_factory=list)
    error: Exception | None = None

    async def record(self, user_id: UserId, position: NewPosition) -> tuple[PositionView, bool]:
        if self.error is not None:
            raise self.error
        if position.account_id != account_of(ALICE).id or user_id != ALICE.id:
            raise NotFound("unknown-account", "There is no such account.", field="account_id")
        is_new = all(position.external_id != known.external_id for _, known in self.recorded)
        self.recorded.append((user_id, position))
        return position_view(position.name), is_new


def close_plan(fraction: Decimal | None = None) -> ClosePlan:
    """Of `pair`: its leg is 0.1 short, a stop order of the trader's is in the way."""
    resting = RestingOrder(
        Category.LINEAR,
        "BTCUSDT",
        "venue-9",
        "",
        Side.SELL,
        0,
        Decimal("0.2"),
        None,
        reduce_only=True,
        kind="Stop",
    )
    leg = PlannedLeg(
        component=leg_view().component,
        quantity=Decimal("0.4"),
        shortfall=Decimal("0.1"),
        dust=Decimal(0),
        estimated_price=Decimal("109.50"),
        estimated_fee=None,
        fee_coin="USDT",
        blockers=(
            PlanBlocker("shortfall-unattributed", "BTCUSDT: whose is it?", (ResolveAction.REBASE,)),
        ),
        resting=(resting,),
    )
    return ClosePlan("plan-1", NOW + timedelta(minutes=1), fraction, (leg,))


@dataclass
class StubCloseDesk:
    """Accepts a close of `pair` by alice once, alone or in a set; remembers idempotency keys."""

    is_closed: bool = False
    asked: list[tuple[str | None, str]] = field(default_factory=list)
    terms: list[CloseTerms] = field(default_factory=list)
    planned: list[Decimal | None] = field(default_factory=list)
    rechecked: list[CloseId] = field(default_factory=list)
    refusal: Exception | None = None
    cancel_error: Exception | None = None
    keys: dict[str, str] = field(default_factory=dict)

    async def request_close(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedClose:
        pair = self._known(user_id, position_id)
        accepted = AcceptedClose(CloseId(uuid_of("close of pair")), pair, is_new=not self.asked)
        if idempotency_key is not None and idempotency_key in self.keys:
            if self.keys[idempotency_key] != fingerprint:
                raise InvalidInput("idempotency-key-reused", "That key was another request's.")
            return accepted
        if self.refusal is not None:
            raise self.refusal
        if self.is_closed:
            raise Conflict("already-closed", "The position is closed.")
        if idempotency_key is not None:
            self.keys[idempotency_key] = fingerprint
        self.asked.append((idempotency_key, fingerprint))
        self.terms.append(terms)
        return accepted

    async def request_set(
        self,
        user_id: UserId,
        position_ids: Sequence[PositionId],
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedSet:
        accepted = [
            await self.request_close(
                user_id,
                position_id,
                terms=terms,
                idempotency_key=idempotency_key,
                fingerprint=fingerprint,
            )
            for position_id in position_ids
        ]
        return AcceptedSet(uuid_of("set"), tuple(accepted), is_new=True)

    async def plan(
        self, user_id: UserId, position_id: PositionId, fraction: Decimal | None
    ) -> ClosePlan:
        self._known(user_id, position_id)
        if self.refusal is not None:
            raise self.refusal
        self.planned.append(fraction)
        return close_plan(fraction)

    async def recheck(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        status = await self.status(user_id, close_id)
        if self.refusal is not None:
            raise self.refusal
        self.rechecked.append(close_id)
        return status

    def _known(self, user_id: UserId, position_id: PositionId) -> PositionId:
        if user_id != ALICE.id or position_id != PositionId(uuid_of("pair")):
            raise NotFound("unknown-position", "There is no such position.")
        return position_id

    async def status(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        if user_id != ALICE.id or close_id != CloseId(uuid_of("close of pair")):
            raise NotFound("unknown-close", "There is no such close request.")
        return CloseStatus(close_request(), (close_order(),))

    async def cancel(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        status = await self.status(user_id, close_id)
        if self.cancel_error is not None:
            raise self.cancel_error
        return CloseStatus(replace(status.request, state=RequestState.CANCELLED), ())


@dataclass
class StubInquiry:
    """Of a position that the board shows: an ended deviation, a close, an event, one point."""

    board: StubBoard
    spans: list[tuple[datetime | None, datetime | None]] = field(default_factory=list)

    async def detail(self, user_id: UserId, position_id: PositionId) -> PositionDetail:
        view = await _shown(self.board, user_id, position_id)
        ended = replace(deviation(), id=3, ended_at=NOW, resolution="accept")
        event = JournalEvent(9, NOW, "deviation-began", "alice", {"symbol": "BTCUSDT"})
        return PositionDetail(view, (*view.deviations, ended), (close_request(),), (event,))

    async def history(
        self, user_id: UserId, position_id: PositionId, start: datetime | None, end: datetime | None
    ) -> list[PnlPoint]:
        await _shown(self.board, user_id, position_id)
        self.spans.append((start, end))
        return [PnlPoint(position_id, NOW, Decimal("1.50"), None, "USDT")]


@dataclass
class StubResolver:
    board: StubBoard
    asked: list[tuple[ResolveAction, ComponentId | None]] = field(default_factory=list)
    edits: list[PositionEdit] = field(default_factory=list)
    error: Exception | None = None

    async def resolve(
        self,
        user_id: UserId,
        position_id: PositionId,
        action: ResolveAction,
        component_id: ComponentId | None,
    ) -> PositionView:
        view = await _shown(self.board, user_id, position_id)
        if component_id is not None and component_id not in {c.component.id for c in view.legs}:
            raise NotFound("unknown-component", "There is no such component.")
        if self.error is not None:
            raise self.error
        self.asked.append((action, component_id))
        return position_view(view.position.name)

    async def edit(
        self, user_id: UserId, position_id: PositionId, change: PositionEdit
    ) -> PositionView:
        view = await _shown(self.board, user_id, position_id)
        self.edits.append(change)
        changed = replace(view.position, name=change.name or view.position.name)
        return replace(view, position=changed)


@dataclass
class StubAccountDesk:
    reconciled: list[AccountId] = field(default_factory=list)
    error: Exception | None = None

    async def holdings(self, user_id: UserId, account_id: AccountId) -> Holdings:
        self._check(user_id, account_id)
        bucket = BucketKey(account_id, Category.LINEAR, "BTCUSDT", 0)
        held = HoldingView(
            bucket,
            total=Decimal("0.9"),
            tracked=Decimal("0.5"),
            unassigned=Decimal("0.1"),
            entry_price=Decimal("100.5"),
            price=None,
        )
        return Holdings((held,), NOW, None)

    async def reconcile(self, user_id: UserId, account_id: AccountId) -> None:
        self._check(user_id, account_id)
        self.reconciled.append(account_id)

    def _check(self, user_id: UserId, account_id: AccountId) -> None:
        if self.error is not None:
            raise self.error
        if user_id != ALICE.id or account_id != account_of(ALICE).id:
            raise NotFound("unknown-account", "There is no such account.")


async def _shown(board: StubBoard, user_id: UserId, position_id: PositionId) -> PositionView:
    view = await board.view(user_id, position_id)
    if view is None:
        raise NotFound("unknown-position", "There is no such position.")
    return view


@dataclass
class StubPeople:
    """Users `alice` and `bob`, password `correct horse`."""

    stored: dict[str, tuple[User, str]] = field(
        default_factory=lambda: {
            user.username: (user, CHEAP.hash("correct horse")) for user in (ALICE, BOB)
        }
    )
    sessions: dict[bytes, tuple[User, datetime]] = field(default_factory=dict)
    bearers: dict[bytes, Identity] = field(default_factory=dict)
    tickets: dict[bytes, tuple[User, datetime]] = field(default_factory=dict)
    error: Exception | None = None
    asked: int = 0
    """How often a bearer was looked up."""

    async def user_for_sign_in(self, username: str) -> tuple[User, str] | None:
        return self.stored.get(username)

    async def open_session(
        self, user_id: UserId, token_hash: bytes, now: datetime, expires_at: datetime
    ) -> None:
        user = next(user for user, _ in self.stored.values() if user.id == user_id)
        self.sessions[token_hash] = (user, expires_at)

    async def session(self, token_hash: bytes, now: datetime) -> Identity | None:
        if self.error is not None:
            raise self.error
        user, expires_at = self.sessions.get(token_hash, (ALICE, now))
        return Identity(user, Scope.TRADE, by_session=True) if expires_at > now else None

    async def end_session(self, token_hash: bytes) -> None:
        self.sessions.pop(token_hash, None)

    async def bearer(self, token_hash: bytes, now: datetime) -> Identity | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.bearers.get(token_hash)

    async def ticket(self, ticket_hash: bytes, now: datetime) -> User | None:
        user, expires_at = self.tickets.get(ticket_hash, (ALICE, now))
        return user if expires_at > now else None

    async def add_user(self, username: str, password_hash: str) -> User:
        user = User(UserId(uuid_of(username)), username)
        self.stored[username] = (user, password_hash)
        return user

    async def set_password(self, username: str, password_hash: str) -> None:
        user, _ = self.stored[username]
        self.stored[username] = (user, password_hash)
        self.sessions = {key: held for key, held in self.sessions.items() if held[0] != user}

    async def renew_password_hash(self, user_id: UserId, old: str, new: str) -> None:
        for name, (user, stored) in self.stored.items():
            if user.id == user_id and stored == old:
                self.stored[name] = (user, new)

    async def users(self) -> Sequence[User]:
        return [user for user, _ in self.stored.values()]

    async def create_token(
        self, user_id: UserId, label: str, scope: Scope, token_hash: bytes
    ) -> ApiToken:
        user = next(user for user, _ in self.stored.values() if user.id == user_id)
        self.bearers[token_hash] = Identity(user, scope, by_session=False)
        return ApiToken(TokenId(uuid4()), user_id, label, scope, NOW, None, None)

    async def tokens(self, user_id: UserId) -> Sequence[ApiToken]:
        return []

    async def revoke_token(self, user_id: UserId, token_id: TokenId) -> None:
        self.bearers.clear()

    async def create_ticket(
        self, user_id: UserId, ticket_hash: bytes, expires_at: datetime
    ) -> None:
        user = next(user for user, _ in self.stored.values() if user.id == user_id)
        self.tickets[ticket_hash] = (user, expires_at)


class StubAccounts:
    async def add(
        self, user_id: UserId, label: str, environment: Environment, credentials: Credentials
    ) -> Account:
        return Account(AccountId(uuid4()), user_id, label, environment, credentials.key)

    async def of_user(self, user_id: UserId) -> Sequence[Account]:
        return [account_of(user) for user in (ALICE, BOB) if user.id == user_id]

    async def load_all(self) -> list[tuple[Account, Credentials | ConfigError]]:
        return [(account_of(user), Credentials("key", "secret")) for user in (ALICE, BOB)]

    async def remove(self, account_id: AccountId) -> None:
        return None


@dataclass
class Clock:
    """Time that moves only when told to."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class House:
    """Everything behind a test's application, within reach of the test."""

    board: StubBoard = field(default_factory=StubBoard)
    recorder: StubRecorder = field(default_factory=StubRecorder)
    desk: StubCloseDesk = field(default_factory=StubCloseDesk)
    account_desk: StubAccountDesk = field(default_factory=StubAccountDesk)
    people: StubPeople = field(default_factory=StubPeople)
    accounts: StubAccounts = field(default_factory=StubAccounts)
    hub: Hub = field(default_factory=Hub)
    clock: Clock = field(default_factory=Clock)
    inquiry: StubInquiry = field(init=False)
    resolver: StubResolver = field(init=False)

    def __post_init__(self) -> None:
        self.inquiry = StubInquiry(self.board)
        self.resolver = StubResolver(self.board)

    def services(self) -> Services:
        return Services(
            board=self.board,
            recorder=self.recorder,
            closes=self.desk,
            inquiry=self.inquiry,
            resolver=self.resolver,
            account_desk=self.account_desk,
            people=self.people,
            accounts=self.accounts,
            hub=self.hub,
            passwords=Passwords(CHEAP),
            now=self.clock,
        )
