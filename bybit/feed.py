"""The public and the private stream as feeds: whatever happens, they come back and say so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, assert_never

import structlog

from ..daemon.domain.errors import PositiondError
from ..daemon.domain.events import (
    AccountFeedDown,
    AccountFeedUp,
    AccountSink,
    FillSeen,
    HoldingSeen,
    MarketFeedDown,
    MarketFeedUp,
    MarketSink,
    OrderSeen,
)
from ..daemon.domain.model import AccountId, Category, Environment
from . import translate, vocab
from .clock import ServerClock
from .fields import Raw, WireError
from .oddities import Oddities
from .reconnect import Persistence, hold_for_ever
from .session import (
    AuthRefused,
    Dead,
    Ready,
    SessionEvent,
    StreamSession,
    TopicRefused,
    Unreadable,
    topics_per_request,
)
from .signing import Signer
from .socket import StreamCut, converse, open_socket
from .wire_account import read_execution, read_order, read_position, read_wallet
from .wire_stream import (
    Pong,
    PrivateFrame,
    PrivateKind,
    Push,
    read_private_frame,
    read_ticker_frame,
)

_log = structlog.get_logger(__name__)

# Ahead of the server on arrival, or Bybit answers "Params Error". (Bybit V5: wss authentication)
_AUTH_LIFE_MS = 10_000
# A row that cannot be read asks for a resync; a venue that sends many of them gets few.
_RESYNC_EVERY = 30.0
_ACCOUNT_TOPICS = frozenset(
    {
        vocab.PrivateTopic.POSITION,
        vocab.PrivateTopic.EXECUTION,
        vocab.PrivateTopic.ORDER,
        vocab.PrivateTopic.WALLET,
    }
)


@dataclass(frozen=True, slots=True)
class StreamTools:
    """What every stream of a gateway shares."""

    oddities: Oddities
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    persistence: Persistence = field(default_factory=Persistence)
    jitter: random.Random = field(default_factory=random.Random)


class BybitMarketFeed:
    """Tickers of one environment and category (a MarketFeed)."""

    def __init__(
        self, environment: Environment, category: Category, url: str, tools: StreamTools
    ) -> None:
        self._environment = environment
        self._category = category
        self._url = url
        self._tools = tools
        self._topics: frozenset[str] = frozenset()
        self._session: StreamSession | None = None
        self._deliver: Callable[[SessionEvent], None] | None = None
        self._wake = asyncio.Event()

    def watch(self, symbols: frozenset[str]) -> None:
        self._topics = frozenset(f"{vocab.TICKERS_PREFIX}{symbol}" for symbol in symbols)
        if self._session is None or self._deliver is None:
            return
        for event in self._session.want(self._topics, self._tools.monotonic()):
            self._deliver(event)
        self._wake.set()

    async def run(self, sink: MarketSink) -> NoReturn:
        async def hold() -> None:
            try:
                await self._hold(sink)
            except StreamCut as cut:
                _log.warning("public stream down", category=self._category, reason=cut.reason)
                sink(MarketFeedDown(self._environment, self._category, cut.reason))
                raise
            finally:
                self._session = self._deliver = None

        tools = self._tools
        await hold_for_ever(
            hold,
            persistence=tools.persistence,
            monotonic=tools.monotonic,
            sleep=tools.sleep,
            jitter=tools.jitter,
        )

    async def _hold(self, sink: MarketSink) -> NoReturn:
        async with open_socket(self._url) as connection:

            def deliver(event: SessionEvent) -> None:
                self._on_event(event, sink)

            self._session = session = StreamSession(
                topics=self._topics,
                oddities=self._tools.oddities,
                chunk=topics_per_request(vocab.Category(self._category.value)),
            )
            self._deliver = deliver
            await converse(
                connection,
                session,
                wake=self._wake,
                monotonic=self._tools.monotonic,
                deliver=deliver,
            )

    def _on_event(self, event: SessionEvent, sink: MarketSink) -> None:
        match event:
            case Push():
                self._on_push(event, sink)
            case Ready():
                _log.info("public stream up", category=self._category)
                sink(MarketFeedUp(self._environment, self._category))
            case TopicRefused():
                _log.error("topic refused", topic=event.topic, reason=event.reason)
                self._tools.oddities.note(f"topic refused {event.topic}", event.reason)
            case AuthRefused() | Dead():
                raise StreamCut(event.reason)
            case Pong() | Unreadable():
                pass
            case _:
                assert_never(event)

    def _on_push(self, push: Push, sink: MarketSink) -> None:
        if push.topic not in self._topics:
            # The last frames of a topic that was given up.
            return
        try:
            frame = read_ticker_frame(push.message)
        except WireError as error:
            self._tools.oddities.note("ticker that cannot be read", f"{push.topic}: {error}")
            return
        sink(translate.price_tick(frame, self._environment, self._category))


class BybitAccountFeed:
    """Positions, wallet, executions and orders of one account (an AccountFeed)."""

    def __init__(
        self,
        account_id: AccountId,
        url: str,
        signer: Signer,
        clock: ServerClock,
        measure_clock: Callable[[], Awaitable[None]],
        tools: StreamTools,
    ) -> None:
        self._account_id = account_id
        self._url = url
        self._signer = signer
        self._clock = clock
        self._measure_clock = measure_clock
        self._tools = tools
        self._is_up = False
        self._resync_wanted = False
        self._resynced_at = float("-inf")

    async def run(self, sink: AccountSink) -> NoReturn:
        async def hold() -> None:
            try:
                await self._hold(sink)
            except StreamCut as cut:
                self._is_up = False
                _log.warning("private stream down", account=self._account_id, reason=cut.reason)
                sink(AccountFeedDown(self._account_id, cut.reason))
                raise

        tools = self._tools
        await hold_for_ever(
            hold,
            persistence=tools.persistence,
            monotonic=tools.monotonic,
            sleep=tools.sleep,
            jitter=tools.jitter,
        )

    async def _hold(self, sink: AccountSink) -> NoReturn:
        if not self._clock.is_measured:
            try:
                await self._measure_clock()
            except PositiondError as error:
                raise StreamCut(f"no server time: {error.detail}") from error
        async with open_socket(self._url) as connection:

            def deliver(event: SessionEvent) -> None:
                self._on_event(event, sink)

            session = StreamSession(
                topics=_ACCOUNT_TOPICS,
                oddities=self._tools.oddities,
                authenticate=self._authentication,
            )
            await converse(
                connection,
                session,
                wake=asyncio.Event(),
                monotonic=self._tools.monotonic,
                deliver=deliver,
            )

    def _authentication(self) -> tuple[str | int, ...]:
        expires = self._clock.now_ms() + _AUTH_LIFE_MS
        return (self._signer.key, expires, self._signer.stream_signature(expires))

    def _on_event(self, event: SessionEvent, sink: AccountSink) -> None:
        match event:
            case Push():
                self._on_push(event, sink)
            case Ready():
                _log.info("private stream up", account=self._account_id)
                self._is_up = True
                sink(AccountFeedUp(self._account_id))
            case AuthRefused():
                # "Params Error" is also what a wrong clock gets: measure anew before the next try.
                self._clock.forget()
                code = "" if event.code is None else f" ({event.code})"
                raise StreamCut(f"Bybit refused the API key{code}: {event.reason}", is_refusal=True)
            case TopicRefused():
                # Without one of the topics we would be blind and not know it.
                raise StreamCut(f"topic {event.topic} refused: {event.reason}", is_refusal=True)
            case Dead():
                raise StreamCut(event.reason)
            case Unreadable():
                self._resync_wanted = True
            case Pong():
                pass
            case _:
                assert_never(event)
        self._resync_if_due(sink)

    def _on_push(self, push: Push, sink: AccountSink) -> None:
        try:
            frame = read_private_frame(push)
        except WireError as error:
            self._on_unreadable(f"push of {push.topic[:30]}", error)
            return
        for row in frame.rows:
            try:
                self._on_row(frame, row, sink)
            except WireError as error:
                self._on_unreadable(f"row of {frame.kind}", error)

    def _on_row(self, frame: PrivateFrame, row: Raw, sink: AccountSink) -> None:
        match frame.kind:
            case PrivateKind.POSITION:
                read_at = frame.created_at or self._clock.now()
                holding = translate.holding(read_position(row), read_at)
                sink(HoldingSeen(self._account_id, holding))
            case PrivateKind.EXECUTION:
                fill = translate.fill(read_execution(row))
                if not translate.is_known_exec_type(fill.exec_type):
                    self._tools.oddities.note(f"execType {fill.exec_type[:40]}", fill.symbol)
                    self._resync_wanted = True
                sink(FillSeen(self._account_id, fill))
            case PrivateKind.ORDER:
                sink(OrderSeen(self._account_id, translate.order_report(read_order(row))))
            case PrivateKind.WALLET:
                read_at = frame.created_at or self._clock.now()
                for coin in read_wallet(row).coins:
                    # Coins that it does not name are as they were.
                    sink(HoldingSeen(self._account_id, translate.coin_holding(coin, read_at)))
            case PrivateKind.FAST_EXECUTION:
                self._tools.oddities.note(f"push never asked for: {frame.kind}", "left out")
            case _:
                assert_never(frame.kind)

    def _on_unreadable(self, what: str, error: WireError) -> None:
        self._tools.oddities.note(f"unreadable {what}", str(error))
        self._resync_wanted = True

    def _resync_if_due(self, sink: AccountSink) -> None:
        """What could not be read may have been a fill: ask for a resync, but not for each frame.

        Pongs come by as events of no consequence, so a wish that is too early is not forgotten.
        """
        now = self._tools.monotonic()
        if self._is_up and self._resync_wanted and now - self._resynced_at >= _RESYNC_EVERY:
            self._resync_wanted = False
            self._resynced_at = now
            sink(AccountFeedUp(self._account_id))
