"""Frames of the V5 streams: pushes, and the answers that each channel spells its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from . import vocab
from .fields import (
    Raw,
    WireError,
    integer_or_none,
    mapping,
    mapping_or_empty,
    moment,
    moment_or_none,
    rows,
    text,
    text_or_empty,
    texts,
)
from .wire_market import TickerRow, read_ticker


@dataclass(frozen=True, slots=True)
class AuthReply:
    """`code` is None in the spelling of the streams that give none."""

    success: bool
    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class TopicsReply:
    """The answer to subscribe or unsubscribe; options name the topics but not the request."""

    success: bool
    request_id: str
    message: str
    failed_topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TradeReply:
    """Bybit V5: the trade stream's answer to an order; not used for closing."""

    request_id: str
    op: str
    code: int
    message: str
    data: Raw


@dataclass(frozen=True, slots=True)
class Push:
    """Data of a topic, not yet looked into."""

    topic: str
    message: Raw


Frame = AuthReply | Pong | TopicsReply | TradeReply | Push


def read_frame(message: Raw) -> Frame:
    """Tell the frame's kind; WireError for one of no known kind."""
    if "topic" in message:
        return Push(text(message, "topic"), message)
    if message.get("type") == vocab.OPTION_COMMAND_REPLY:
        failed = texts(mapping_or_empty(message.get("data")), "failTopics")
        success = message.get("success") is True and not failed
        said = text_or_empty(message, "ret_msg")
        return TopicsReply(success, text_or_empty(message, "req_id"), said, failed)
    op = text_or_empty(message, "op")
    if op == vocab.Op.AUTH:
        return _read_auth(message)
    if op in (vocab.Op.PING, vocab.Op.PONG):
        # The public streams answer a ping with op "ping", the others with "pong".
        return Pong()
    if op in (vocab.Op.SUBSCRIBE, vocab.Op.UNSUBSCRIBE):
        return TopicsReply(
            message.get("success") is True,
            text_or_empty(message, "req_id"),
            text_or_empty(message, "ret_msg"),
            (),
        )
    if op.startswith("order."):
        return _read_trade(message)
    raise WireError(f"a frame of unknown kind, op {op[:30]!r}")


def _read_auth(message: Raw) -> AuthReply:
    code = integer_or_none(message, "retCode")
    # 20001: authenticated already.
    success = message.get("success") is True if code is None else code in (0, 20001)
    said = text_or_empty(message, "ret_msg") or text_or_empty(message, "retMsg")
    return AuthReply(success, code, said)


def _read_trade(message: Raw) -> TradeReply:
    code = integer_or_none(message, "retCode")
    if code is None:
        raise WireError("a trade reply without retCode")
    return TradeReply(
        text_or_empty(message, "reqId"),
        text(message, "op"),
        code,
        text_or_empty(message, "retMsg"),
        mapping_or_empty(message.get("data")),
    )


@dataclass(frozen=True, slots=True)
class TickerFrame:
    """Topic `tickers.*`; `at` is the server's stamp."""

    ticker: TickerRow
    is_snapshot: bool
    at: datetime


def read_ticker_frame(message: Raw) -> TickerFrame:
    kind = text(message, "type")
    if kind not in (vocab.MessageType.SNAPSHOT, vocab.MessageType.DELTA):
        raise WireError(f"a ticker of type {kind[:20]!r}")
    ticker = read_ticker(mapping(message.get("data"), "data"))
    return TickerFrame(ticker, kind == vocab.MessageType.SNAPSHOT, moment(message, "ts"))


class PrivateKind(StrEnum):
    """The kind of rows in a private push."""

    POSITION = "position"
    EXECUTION = "execution"
    FAST_EXECUTION = "execution.fast"
    ORDER = "order"
    WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class PrivateFrame:
    """A private push; several rows of several symbols may come in one."""

    kind: PrivateKind
    rows: Sequence[Raw]
    created_at: datetime | None


def private_kind(topic: str) -> PrivateKind | None:
    """The kind of a topic, its categorised variants (`position.linear`) included."""
    if topic.startswith(vocab.PrivateTopic.FAST_EXECUTION):
        return PrivateKind.FAST_EXECUTION
    try:
        return PrivateKind(topic.partition(".")[0])
    except ValueError:
        return None


def read_private_frame(push: Push) -> PrivateFrame:
    kind = private_kind(push.topic)
    if kind is None:
        raise WireError(f"a push of unknown topic {push.topic[:40]!r}")
    created = moment_or_none(push.message, "creationTime")
    return PrivateFrame(kind, rows(push.message, "data"), created)
