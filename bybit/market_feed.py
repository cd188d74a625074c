"""The public streams of a category as one feed: whatever happens, they come back and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn, assert_never

import structlog

from ..daemon.domain.events import MarketFeedDown, MarketFeedUp, MarketSink
from ..daemon.domain.model import Category, Environment
from . import translate, vocab
from .fields import WireError
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
from .socket import StreamCut, converse, open_socket
from .streaming import StreamTools, hold_stream
from .topic_plan import TopicPlan
from .wire_stream import Pong, Push, read_ticker_frame

_log = structlog.get_logger(__name__)


class _Line:
    """One connection with some of the feed's topics."""

    def __init__(self, url: str, category: Category, tools: StreamTools) -> None:
        self.topics: frozenset[str] = frozenset()
        self.is_up = False
        self._url = url
        self._chunk = topics_per_request(vocab.Category(category.value))
        self._tools = tools
        self._session: StreamSession | None = None
        self._deliver: Callable[[SessionEvent], None] | None = None
        self._wake = asyncio.Event()

    def watch(self, topics: frozenset[str]) -> None:
        self.topics = topics
        if self._session is None or self._deliver is None:
            return
        for event in self._session.want(topics, self._tools.monotonic()):
            self._deliver(event)
        self._wake.set()

    async def run(
        self, deliver: Callable[[SessionEvent], None], down: Callable[[str], None]
    ) -> NoReturn:
        """Hold the connection for ever; `down` hears why it was cut, each time."""

        async def hold() -> None:
            try:
                await self._hold(deliver)
            except StreamCut as cut:
                self.is_up = False
                down(cut.reason)
                raise
            finally:
                self._session = self._deliver = None

        await hold_stream(self._url, hold, self._tools, first=True)

    async def _hold(self, deliver: Callable[[SessionEvent], None]) -> NoReturn:
        async with open_socket(self._url) as connection:
            self._session = session = StreamSession(
                topics=self.topics, oddities=self._tools.oddities, chunk=self._chunk
            )
            self._deliver = deliver
            await converse(
                connection,
                session,
                wake=self._wake,
                monotonic=self._tools.monotonic,
                deliver=deliver,
            )


class BybitMarketFeed:
    """Tickers of one environment and category (a MarketFeed).

    It is up while all its connections are. One is enough but for very many symbols.
    """

    def __init__(
        self, environment: Environment, category: Category, url: str, tools: StreamTools
    ) -> None:
        self._environment = environment
        self._category = category
        self._url = url
        self._tools = tools
        self._plan = TopicPlan(vocab.Category(category.value))
        self._lines: list[_Line] = []
        self._grown = asyncio.Event()
        self._is_up = False
        self.watch(frozenset())

    def watch(self, symbols: frozenset[str]) -> None:
        topics = frozenset(f"{vocab.TICKERS_PREFIX}{symbol}" for symbol in symbols)
        for number, part in enumerate(self._plan.spread(topics)):
            if number == len(self._lines):
                self._lines.append(_Line(self._url, self._category, self._tools))
                self._grown.set()
            self._lines[number].watch(part)

    async def run(self, sink: MarketSink) -> NoReturn:
        async with asyncio.TaskGroup() as tasks:
            started = 0
            while True:
                for line in self._lines[started:]:
                    tasks.create_task(self._run_line(line, sink))
                started = len(self._lines)
                self._grown.clear()
                await self._grown.wait()
        raise AssertionError("a feed never ends by itself")

    async def _run_line(self, line: _Line, sink: MarketSink) -> NoReturn:
        def deliver(event: SessionEvent) -> None:
            self._on_event(event, line, sink)

        def down(reason: str) -> None:
            self._is_up = False
            _log.warning("public stream down", category=self._category, reason=reason)
            sink(MarketFeedDown(self._environment, self._category, reason))

        await line.run(deliver, down)

    def _on_event(self, event: SessionEvent, line: _Line, sink: MarketSink) -> None:
        match event:
            case Push():
                self._on_push(event, line, sink)
            case Ready():
                line.is_up = True
                self._on_ready(sink)
            case TopicRefused():
                _log.error("topic refused", topic=event.topic, reason=event.reason)
                self._tools.oddities.note(f"topic refused {event.topic}", event.reason)
            case AuthRefused() | Dead():
                raise StreamCut(event.reason)
            case Pong() | Unreadable():
                pass
            case _:
                assert_never(event)

    def _on_ready(self, sink: MarketSink) -> None:
        if self._is_up or not all(line.is_up for line in self._lines):
            return
        self._is_up = True
        _log.info("public stream up", category=self._category)
        sink(MarketFeedUp(self._environment, self._category))

    def _on_push(self, push: Push, line: _Line, sink: MarketSink) -> None:
        if push.topic not in line.topics:
            # The last frames of a topic that was given up.
            return
        try:
            frame = read_ticker_frame(push.message)
        except WireError as error:
            self._tools.oddities.note("ticker that cannot be read", f"{push.topic}: {error}")
            return
        sink(translate.price_tick(frame, self._environment, self._category))
