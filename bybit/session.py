"""A V5 stream without I/O: text frames in → events out, frames to send out, ticks for time.

The rules that it keeps:

1. A private stream subscribes only after Bybit acknowledged the authentication.
2. What is wanted and what was asked for are compared on every change; only differences go out.
3. One bad topic fails a whole request. Where the answer names it, the others are asked for once
   more; where it does not, each half is. A bad topic is reported, and left alone until the next
   connection; one that the venue has already, from an unsubscribe that it refused, counts as taken.
4. `Ready` comes once, when everything wanted at the start is acknowledged.
5. A frame that cannot be understood is counted and reported once per kind; it ends nothing.
6. Text pings every 20 s; a stream that answers nothing within a deadline is dead. Silence of a
   topic proves nothing, so any frame counts as life.

Times are monotonic seconds. (Bybit V5: websocket connect)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import orjson

from . import vocab
from .fields import WireError, mapping
from .oddities import Oddities
from .wire_request import Command
from .wire_stream import AuthReply, Pong, Push, TopicsReply, TradeReply, read_frame

PING_EVERY: Final = 20.0
ANSWER_WITHIN: Final = 10.0
# Bybit's limit on the characters of all topics of one public connection.
MOST_CHARACTERS: Final = 21_000
_FEW_TOPICS = 10
_MANY_TOPICS = 100


@dataclass(frozen=True, slots=True)
class Ready:
    """Authenticated where needed, and subscribed to all that was wanted at the start."""


@dataclass(frozen=True, slots=True)
class TopicRefused:
    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class AuthRefused:
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The stream must be given up; nothing more comes of this session."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A frame was left out; on a private stream it may have been a fill."""


SessionEvent = Ready | TopicRefused | AuthRefused | Dead | Unreadable | Push | Pong

# Makes the arguments of an `auth` request: key, expiry, signature.
Authenticate = Callable[[], tuple[str | int, ...]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way: answered in order where the answer names no request."""

    op: vocab.Op
    topics: tuple[str, ...]
    at: float


def length_of(topic: str) -> int:
    """What a topic takes of a connection's room: itself, its quotes and a comma."""
    return len(topic) + 3


def topics_per_request(category: vocab.Category | None) -> int:
    """Spot allows ten arguments; elsewhere the chunk only bounds what one bad topic costs."""
    return _FEW_TOPICS if category is vocab.Category.SPOT else _MANY_TOPICS


class StreamSession:
    """One connection's protocol; a new connection needs a new session."""

    def __init__(
        self,
        *,
        topics: frozenset[str],
        oddities: Oddities,
        authenticate: Authenticate | None = None,
        chunk: int = _MANY_TOPICS,
    ) -> None:
        self._oddities = oddities
        self._chunk = chunk
        self._wanted = topics
        self._requested: set[str] = set()
        self._bad: set[str] = set()
        self._asked: dict[str, _Asked] = {}
        self._outbox: list[str] = []
        self._next_id = 1
        self._is_ready = False
        self._is_open = False
        self._authenticate = authenticate
        self._heard_at = self._pinged_at = 0.0
        self._unanswered_since: float | None = None

    def start(self, now: float) -> list[SessionEvent]:
        """The connection stands: what to say first."""
        self._heard_at = self._pinged_at = now
        if self._authenticate is not None:
            self._send(vocab.Op.AUTH, self._authenticate(), now)
            return []
        self._is_open = True
        return self._subscribe_difference(now)

    # --- out -----------------------------------------------------------------------------

    def frames_to_send(self) -> list[str]:
        """What must go out now, in order; empties the outbox."""
        frames, self._outbox = self._outbox, []
        return frames

    @property
    def has_frames(self) -> bool:
        return bool(self._outbox)

    def want(self, topics: frozenset[str], now: float) -> list[SessionEvent]:
        """The topics wanted from now on."""
        self._wanted = topics
        # A topic that is given up may be tried anew when it is wanted again.
        self._bad &= topics
        return self._subscribe_difference(now) if self._is_open else []

    def tick(self, now: float) -> list[SessionEvent]:
        """Let time pass: call at least once a second."""
        if self._asked and now - next(iter(self._asked.values())).at > ANSWER_WITHIN:
            asked = next(iter(self._asked.values()))
            return [Dead(f"no answer to {asked.op.value} within {ANSWER_WITHIN:.0f} s")]
        since = self._unanswered_since
        if since is not None and now - since > ANSWER_WITHIN:
            return [Dead(f"silent for {now - self._heard_at:.0f} s")]
        if now - self._pinged_at >= PING_EVERY:
            self._pinged_at = now
            self._unanswered_since = now if since is None else since
            # Not remembered as asked: a channel's pong may name no request.
            self._outbox.append(Command(vocab.Op.PING, (), self._new_id()).encode())
        return []

    # --- in ------------------------------------------------------------------------------

    def receive(self, frame: str | bytes, now: float) -> Sequence[SessionEvent]:
        """What a frame means. Never raises for anything that Bybit could send."""
        self._heard_at = now
        self._unanswered_since = None
        try:
            found = read_frame(mapping(orjson.loads(frame), "the frame"))
        except orjson.JSONDecodeError:
            self._oddities.note("stream frame that is no JSON", "a frame was left out")
            return (Unreadable(),)
        except WireError as error:
            self._oddities.note("stream frame of unknown kind", str(error))
            return (Unreadable(),)
        match found:
            case Push() | Pong():
                return (found,)
            case AuthReply():
                return self._on_auth(found, now)
            case TopicsReply():
                return self._on_topics(found, now)
            case TradeReply():
                self._oddities.note("trade reply on a data stream", found.op)
                return ()
            case _:
                assert_never(found)

    def _on_auth(self, reply: AuthReply, now: float) -> list[SessionEvent]:
        self._asked = {name: one for name, one in self._asked.items() if one.op != vocab.Op.AUTH}
        if not reply.success:
            return [AuthRefused(reply.code, reply.message)]
        if self._is_open:
            return []
        self._is_open = True
        return self._subscribe_difference(now)

    def _on_topics(self, reply: TopicsReply, now: float) -> list[SessionEvent]:
        asked = self._answered(reply)
        if asked is None:
            self._oddities.note("stream answer to no request", reply.message)
            return []
        events: list[SessionEvent] = []
        if asked.op is vocab.Op.SUBSCRIBE and not reply.success:
            events += self._on_refusal(asked, reply, now)
        elif not reply.success:
            # Nothing is lost by a failed unsubscribe but some unwanted frames.
            self._oddities.note("unsubscribe refused", reply.message)
        return events + self._ready_if_complete()

    def _on_refusal(self, asked: _Asked, reply: TopicsReply, now: float) -> list[SessionEvent]:
        failed = tuple(topic for topic in asked.topics if topic in reply.failed_topics)
        if not failed:
            failed = self._named(asked.topics, reply.message)
            self._ask_again(asked.topics, failed, now)
        if "already subscribed" in reply.message.lower():
            return []
        return self._give_up(failed, reply.message)

    @staticmethod
    def _named(topics: tuple[str, ...], message: str) -> tuple[str, ...]:
        if len(topics) == 1:
            return topics
        return tuple(topic for topic in topics if message.endswith(f"topic:{topic}"))

    def _ask_again(self, topics: tuple[str, ...], failed: tuple[str, ...], now: float) -> None:
        # But for those that were given up meanwhile: their unsubscribe is under way already.
        others = tuple(t for t in topics if t not in failed and t in self._requested)
        half = len(others) if failed else len(others) // 2
        for part in (others[:half], others[half:]):
            if part:
                self._send(vocab.Op.SUBSCRIBE, part, now)

    def _give_up(self, topics: tuple[str, ...], reason: str) -> list[SessionEvent]:
        self._requested.difference_update(topics)
        self._bad.update(topics)
        return [TopicRefused(topic, reason) for topic in topics]

    def _answered(self, reply: TopicsReply) -> _Asked | None:
        if reply.request_id in self._asked:
            return self._asked.pop(reply.request_id)
        if reply.request_id:
            return None
        # The answer names no request: answers come in the order of the requests.
        oldest = next((name for name, one in self._asked.items() if one.topics), None)
        return None if oldest is None else self._asked.pop(oldest)

    # --- subscriptions -------------------------------------------------------------------

    def _subscribe_difference(self, now: float) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        gone = sorted(self._requested - self._wanted)
        self._requested.difference_update(gone)
        for chunk in _chunks(gone, self._chunk):
            self._send(vocab.Op.UNSUBSCRIBE, chunk, now)
        room = MOST_CHARACTERS - sum(map(length_of, self._requested))
        new: list[str] = []
        for topic in sorted(self._wanted - self._requested - self._bad):
            room -= length_of(topic)
            if room < 0:
                self._bad.add(topic)
                events.append(TopicRefused(topic, "the connection has no room for more topics"))
                continue
            new.append(topic)
        self._requested.update(new)
        for chunk in _chunks(new, self._chunk):
            self._send(vocab.Op.SUBSCRIBE, chunk, now)
        return events + self._ready_if_complete()

    def _ready_if_complete(self) -> list[SessionEvent]:
        if self._is_ready or not self._is_open or self._asked:
            return []
        self._is_ready = True
        return [Ready()]

    def _send(self, op: vocab.Op, args: tuple[str | int, ...], now: float) -> None:
        command = Command(op, args, self._new_id())
        topics = () if op is vocab.Op.AUTH else tuple(str(arg) for arg in args)
        self._asked[command.request_id] = _Asked(op, topics, now)
        self._outbox.append(command.encode())

    def _new_id(self) -> str:
        number, self._next_id = self._next_id, self._next_id + 1
        return str(number)


def _chunks(topics: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(topics[start : start + size]) for start in range(0, len(topics), size)]
