"""The thin `websockets` shell around a stream session: it moves text and keeps time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .session import SessionEvent, StreamSession

_OPEN_TIMEOUT: Final = 10.0
_SEND_TIMEOUT: Final = 10.0
_TICK: Final = 1.0
_LARGEST_FRAME: Final = 4 * 1024 * 1024
# Enough for a burst; beyond it Bybit's frames wait in the socket, not in our memory.
_QUEUED_FRAMES: Final = 256
# No name, or nobody there: the venue has seen nothing of it.
_NEVER_ARRIVED: Final = (ConnectionRefusedError, socket.gaierror)


class StreamCut(Exception):
    """The stream ended, or never came up; `is_refusal` when trying again soon is pointless.

    `never_arrived` only when surely no connection was made.
    """

    def __init__(
        self, reason: str, *, is_refusal: bool = False, never_arrived: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_refusal = is_refusal
        self.never_arrived = never_arrived


@asynccontextmanager
async def open_socket(url: str) -> AsyncIterator[ClientConnection]:
    """A connected socket; StreamCut when it cannot be had."""
    connecting = connect(
        url,
        compression=None,
        max_size=_LARGEST_FRAME,
        max_queue=_QUEUED_FRAMES,
        open_timeout=_OPEN_TIMEOUT,
        close_timeout=1.0,
        # Protocol pings do not keep a V5 stream; the session sends the text ones.
        ping_interval=None,
        proxy=None,
    )
    try:
        connection = await connecting
    except InvalidStatus as error:
        status = error.response.status_code
        raise StreamCut(f"HTTP {status} on connecting", is_refusal=status == 403) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        never = isinstance(error, _NEVER_ARRIVED)
        raise StreamCut(f"no connection: {type(error).__name__}", never_arrived=never) from error
    try:
        yield connection
    finally:
        await connection.close()


async def converse(
    connection: ClientConnection,
    session: StreamSession,
    *,
    wake: asyncio.Event,
    monotonic: Callable[[], float],
    deliver: Callable[[SessionEvent], None],
) -> NoReturn:
    """Carry the session's frames both ways until the stream is cut (StreamCut).

    Setting `wake` makes whatever the session has to say go out at once. An error that `deliver`
    raises passes through: StreamCut ends the stream, any other is not ours to hide.
    """
    for event in session.start(monotonic()):
        deliver(event)
    # In a task of its own: a group that is cancelled while one of its tasks fails raises the
    # failure alone (Python 3.11), and whoever reconnects after it would never stop.
    both = asyncio.create_task(_both_ways(connection, session, wake, monotonic, deliver))
    try:
        await both
    except StreamCut:
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise asyncio.CancelledError from None
        raise
    raise AssertionError("reading and writing never return")


async def _both_ways(
    connection: ClientConnection,
    session: StreamSession,
    wake: asyncio.Event,
    monotonic: Callable[[], float],
    deliver: Callable[[SessionEvent], None],
) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_read(connection, session, wake, monotonic, deliver))
            tasks.create_task(_write(connection, session, wake, monotonic, deliver))
    except BaseExceptionGroup as group:
        cuts, others = group.split(StreamCut)
        if others is not None or cuts is None:
            raise
        # A group cannot be retried by its kind: hand on the cut itself. The tasks' group is flat.
        raise cuts.exceptions[0] from None


async def _read(
    connection: ClientConnection,
    session: StreamSession,
    wake: asyncio.Event,
    monotonic: Callable[[], float],
    deliver: Callable[[SessionEvent], None],
) -> NoReturn:
    while True:
        try:
            frame = await connection.recv()
        except ConnectionClosed as error:
            raise StreamCut(_closing_words(error)) from error
        for event in session.receive(frame, monotonic()):
            deliver(event)
        if session.has_frames:
            wake.set()


async def _write(
    connection: ClientConnection,
    session: StreamSession,
    wake: asyncio.Event,
    monotonic: Callable[[], float],
    deliver: Callable[[SessionEvent], None],
) -> NoReturn:
    while True:
        wake.clear()
        for event in session.tick(monotonic()):
            deliver(event)
        for frame in session.frames_to_send():
            await _send(connection, frame)
        try:
            async with asyncio.timeout(_TICK):
                await wake.wait()
        except TimeoutError:
            continue


async def _send(connection: ClientConnection, frame: str) -> None:
    try:
        async with asyncio.timeout(_SEND_TIMEOUT):
            await connection.send(frame)
    except TimeoutError as error:
        raise StreamCut("the socket takes nothing more") from error
    except ConnectionClosed as error:
        raise StreamCut(_closing_words(error)) from error


def _closing_words(error: ConnectionClosed) -> str:
    closed = error.rcvd
    if closed is None:
        return "the connection broke"
    return f"Bybit closed the stream: {closed.code} {closed.reason}".strip()
