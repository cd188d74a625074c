"""The stream protocol of both kinds of socket, without the socket: text in, replies out.

Each channel spells its acks and pongs in its own way (Bybit V5: websocket/connect).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from ..vocab import OPTION_COMMAND_REPLY, Category, Op, PrivateTopic
from .model import Account

MAX_ARGS_CHARS = 21_000
MAX_SPOT_ARGS = 10
TOPIC = re.compile(r"(tickers|orderbook\.(?:1|50|200|500|25|100))\.([A-Z0-9-]{2,40})")
MAX_OPTION_ARGS = 2000  # on one connection
_FUTURES = frozenset({"tickers", "orderbook.1"})
# An option's best quote is in its ticker; orderbook.1 does not exist there.
SERVED = {
    Category.LINEAR: _FUTURES,
    Category.INVERSE: _FUTURES,
    Category.SPOT: _FUTURES,
    Category.OPTION: frozenset({"tickers"}),
}
CATEGORISED = {
    PrivateTopic.POSITION: ("linear", "inverse", "option"),
    PrivateTopic.EXECUTION: ("linear", "inverse", "spot", "option"),
    PrivateTopic.ORDER: ("linear", "inverse", "spot", "option"),
    PrivateTopic.FAST_EXECUTION: ("linear", "inverse", "spot", "option"),
    PrivateTopic.WALLET: (),
}
PRIVATE_TOPICS = frozenset(CATEGORISED) | {
    f"{topic}.{category}" for topic, categories in CATEGORISED.items() for category in categories
}


class Session(Protocol):
    """One connection's protocol state."""

    topics: set[str]

    @property
    def uid(self) -> str: ...

    def hear(self, message: str) -> "Heard": ...


@dataclass(slots=True)
class Heard:
    """What a message leads to: replies in order to its `op`, and the topics it added."""

    replies: list[Mapping[str, Any]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    op: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    op: str
    args: Sequence[Any]
    req_id: str | None


def read_request(message: str) -> Request | None:
    """None where the text is not a request."""
    try:
        raw = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("op"), str):
        return None
    args = raw.get("args", [])
    if not isinstance(args, list):
        return None
    req_id = raw.get("req_id")
    return Request(raw["op"], args, None if req_id is None else str(req_id))


class PublicSession:
    """One category's public connection; `knows` tells whether a symbol is listed."""

    uid = ""

    def __init__(
        self,
        category: Category,
        conn_id: str,
        now_ms: Callable[[], int],
        knows: Callable[[str], bool],
    ) -> None:
        self.topics: set[str] = set()
        self._category = category
        self._conn_id = conn_id
        self._now_ms = now_ms
        self._knows = knows

    def hear(self, message: str) -> Heard:
        """The replies to one text message."""
        request = read_request(message)
        if request is None:
            return Heard([self._ack("", None, "Invalid request")])
        heard = self._do(request)
        heard.op = request.op
        return heard

    def _do(self, request: Request) -> Heard:
        if request.op == Op.PING:
            return Heard([self._pong(request)])
        if request.op == Op.SUBSCRIBE:
            return self._subscribe(request)
        if request.op == Op.UNSUBSCRIBE:
            self.topics.difference_update(map(str, request.args))
            return Heard([self._ack(request.op, request.req_id)])
        return Heard([self._ack(request.op, request.req_id, f"error:unknown op,op:{request.op}")])

    def _subscribe(self, request: Request) -> Heard:
        topics = [str(arg) for arg in request.args]
        if self._category is Category.OPTION:
            return self._subscribe_options(topics)
        # One bad topic fails the whole request.
        if error := self._error(topics):
            return Heard([self._ack(request.op, request.req_id, error)])
        self.topics.update(topics)
        return Heard([self._ack(request.op, request.req_id)], topics)

    def _subscribe_options(self, topics: Sequence[str]) -> Heard:
        good = [topic for topic in topics if self._fault_of(topic) is None]
        good = good[: max(MAX_OPTION_ARGS - len(self.topics), 0)]
        failed = [topic for topic in topics if topic not in good]
        self.topics.update(good)
        reply = {
            "success": not failed,
            "conn_id": self._conn_id,
            "data": {"failTopics": failed, "successTopics": good},
            "type": OPTION_COMMAND_REPLY,
        }
        return Heard([reply], good)

    def _error(self, topics: Sequence[str]) -> str | None:
        if not topics:
            return "Params Error"
        if self._category is Category.SPOT and len(topics) > MAX_SPOT_ARGS:
            return "Params Error: args size >10"
        if sum(map(len, (*self.topics, *topics))) > MAX_ARGS_CHARS:
            return "Params Error: args too long"
        return next(filter(None, map(self._fault_of, topics)), None)

    def _fault_of(self, topic: str) -> str | None:
        found = TOPIC.fullmatch(topic)
        if found is None or found[1] not in SERVED[self._category] or not self._knows(found[2]):
            return f"error:handler not found,topic:{topic}"
        if topic in self.topics:
            return f"error:already subscribed,topic:{topic}"
        return None

    def _pong(self, request: Request) -> Mapping[str, Any]:
        if self._category is Category.OPTION:
            return {"args": [str(self._now_ms())], "op": Op.PONG}
        return {**self._ack(request.op, request.req_id), "ret_msg": "pong"}

    def _ack(self, op: str, req_id: str | None, error: str = "") -> Mapping[str, Any]:
        spot = self._category is Category.SPOT
        good = "subscribe" if spot and op == Op.SUBSCRIBE else ""
        ack = {"success": not error, "ret_msg": error or good, "conn_id": self._conn_id, "op": op}
        # Spot leaves an id out that was not sent; the others show an empty one.
        return ack if spot and req_id is None else {**ack, "req_id": req_id or ""}


class PrivateSession:
    """An account's connection; `authenticate` gives the account of key, expires, signature."""

    def __init__(
        self,
        conn_id: str,
        now_ms: Callable[[], int],
        authenticate: Callable[[Any, Any, Any], Account | None],
    ) -> None:
        self.topics: set[str] = set()
        self.account: Account | None = None
        self._conn_id = conn_id
        self._now_ms = now_ms
        self._authenticate = authenticate

    @property
    def uid(self) -> str:
        return self.account.uid if self.account else ""

    def hear(self, message: str) -> Heard:
        """The replies to one text message."""
        request = read_request(message)
        if request is None:
            return Heard([self._ack("", None, "Invalid request")])
        heard = self._do(request)
        heard.op = request.op
        return heard

    def _do(self, request: Request) -> Heard:
        if request.op == Op.PING:
            return Heard([self._pong(request)])
        if request.op == Op.AUTH:
            return Heard([self._auth(request)])
        if self.account is None:
            return Heard([self._ack(request.op, request.req_id, "Request not authorized")])
        if request.op == Op.SUBSCRIBE:
            return self._subscribe(request)
        if request.op == Op.UNSUBSCRIBE:
            self.topics.difference_update(map(str, request.args))
            return Heard([self._ack(request.op, request.req_id)])
        return Heard([self._ack(request.op, request.req_id, f"error:unknown op,op:{request.op}")])

    def _auth(self, request: Request) -> Mapping[str, Any]:
        if self.account is not None:
            return self._ack(request.op, request.req_id, "Repeat auth")
        if len(request.args) == 3:
            self.account = self._authenticate(*request.args)
        return self._ack(request.op, request.req_id, "" if self.account else "Params Error")

    def _subscribe(self, request: Request) -> Heard:
        topics = [str(arg) for arg in request.args]
        unknown = [topic for topic in topics if topic not in PRIVATE_TOPICS]
        error = ""
        if unknown or not topics:
            error = f"error:handler not found,topic:{unknown[0] if unknown else ''}"
        elif _mixes(topics):
            error = "Params Error: all-in-one and categorised topics in one request"
        else:
            self.topics.update(topics)
        reply = self._ack(request.op, request.req_id, error)
        return Heard([reply], [] if error else topics)

    def _pong(self, request: Request) -> Mapping[str, Any]:
        pong = {"op": Op.PONG, "args": [str(self._now_ms())], "conn_id": self._conn_id}
        return pong if request.req_id is None else {"req_id": request.req_id, **pong}

    def _ack(self, op: str, req_id: str | None, error: str = "") -> Mapping[str, Any]:
        ack = {"success": not error, "ret_msg": error, "op": op, "conn_id": self._conn_id}
        return ack if req_id is None else {"req_id": req_id, **ack}


def _mixes(topics: Sequence[str]) -> bool:
    """Whether one topic is asked for both as a whole and by category."""
    whole = {topic for topic in topics if topic in CATEGORISED}
    return any(topic not in whole and topic.rpartition(".")[0] in whole for topic in topics)
