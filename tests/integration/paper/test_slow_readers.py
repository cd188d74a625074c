"""A subscriber that stops reading loses its connection; the others lose nothing."""

import asyncio
import json
import socket
from contextlib import closing

import pytest
from positiond.bybit.paper import stream as stream_module
from positiond.bybit.paper.prices import PARTS
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Category

from .client import Client

pytestmark = pytest.mark.thorough

OPEN = (
    "GET /v5/public/linear HTTP/1.1\r\nHost: paper\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def masked(text: str) -> bytes:
    """A client's text frame; the mask of zeros changes nothing."""
    assert len(text) < 126 * 256
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text.encode()


async def deaf_reader(paper: PaperServer, topics: list[str]) -> socket.socket:
    """A connection that subscribes and then never reads again."""
    host, port = paper.url.removeprefix("http://").split(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(line, (host, int(port)))
    subscribe = json.dumps({"op": "subscribe", "args": topics})
    await loop.sock_sendall(line, OPEN.encode())
    assert b" 101 " in await loop.sock_recv(line, 4096)
    await loop.sock_sendall(line, masked(subscribe))
    return line


async def test_a_reader_that_stopped_is_cut_off_and_the_others_hear_everything(
    carol: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MAX_BEHIND", 64 * 1024)
    paper = carol.paper
    topics = [f"tickers.{i.symbol}" for i in paper.venue.market.listing.of(Category.LINEAR)][:150]
    first = await carol.stream(*topics, account=False)
    with closing(await deaf_reader(paper, topics)):
        second = await carol.stream(*topics, account=False)

        async def connections() -> int:
            return int((await carol.control("GET", "state"))["streams"]["connections"])

        assert await connections() == 3
        rounds = 0
        while await connections() == 3:
            assert rounds < 400, "it is still there"
            await paper.step(100)
            rounds += 1
            # A pong comes after all that was told before it.
            await first.ask(op="ping")
            await second.ask(op="ping")
        assert await connections() == 2
    told = [f for f in second.frames if f.get("type") == "delta"]
    assert len({f["ts"] for f in told}) == rounds * PARTS
    assert told == [f for f in first.frames if f.get("type") == "delta"][-len(told) :]
