"""The private stream as a feed: whatever happens, it comes back and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, assert_never

import structlog

from ..daemon.domain.errors import PositiondError
from ..daemon.domain.events import (
    AccountFeedDown,
    AccountFeedUp,
    AccountSink,
    FillSeen,
    HoldingSeen,
    OrderSeen,
    WalletSeen,
)
from ..daemon.domain.model import AccountId
from . import translate, vocab
from .clock import ServerClock
from .fields import Raw, WireError
from .session import (
    AuthRefused,
    Dead,
    Ready,
    SessionEvent,
    StreamSession,
    TopicRefused,
    Unreadable,
)
from .signing import Signer
from .socket import StreamCut, converse, open_socket
from .streaming import StreamTools, hold_stream
from .wire_account import read_execution, read_order, read_position, read_wallet
from .wire_stream import Pong, PrivateFrame, PrivateKind, Push, read_private_frame

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

        await hold_stream(self._url, hold, self._tools)

    async def _hold(self, sink: AccountSink) -> NoReturn:
        if not self._clock.is_measured:
            try:
                await self._measure_clock()
            except PositiondError as error:
                raise StreamCut(f"no server time: {error.detail}", never_arrived=True) from error
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
                coins = read_wallet(row).coins
                for coin in coins:
                    sink(HoldingSeen(self._account_id, translate.coin_holding(coin, read_at)))
                sink(WalletSeen(self._account_id, frozenset(coin.coin for coin in coins)))
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
