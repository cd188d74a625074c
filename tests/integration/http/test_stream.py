from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.http.app import build_app, serving
from positiond.http.hub import Hub
from positiond.http.services import HttpSettings
from yarl import URL

from ...unit.http.frames import Frame, Page, parse
from ...unit.http.stubs import ALICE, BOB, House, position_view, priced
from .conftest import OpenSite, Site, until


class Stream:
    """A client that reads whole events as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.raw = b""

    async def block(self) -> bytes:
        """The next event or comment; empty once the stream has ended."""
        async with asyncio.timeout(5):
            while b"\n\n" not in self.raw:
                chunk = await self.response.content.readany()
                if not chunk:
                    return b""
                self.raw += chunk
        block, _, self.raw = self.raw.partition(b"\n\n")
        return block + b"\n\n"

    async def event(self) -> bytes:
        """The next event as it was sent; comments and settings are passed over."""
        while not parse(block := await self.block()):
            assert block, "the stream has ended"
        return block

    async def next(self) -> Frame:
        return parse(await self.event())[0]


@asynccontextmanager
async def streaming(
    site: Site, headers: dict[str, str], last_event_id: str | None = None
) -> AsyncIterator[Stream]:
    resume = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with site.client.get("/api/stream", headers=headers | resume) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def test_a_stream_starts_with_the_users_positions_and_goes_on_with_deltas(
    site: Site,
) -> None:
    async with streaming(site, await site.bearer()) as stream:
        snapshot = await stream.next()
        assert snapshot.event == "snapshot"
        assert snapshot.data["seq"] == 1
        assert [position["name"] for position in snapshot.data["positions"]] == ["pair"]
        assert (await stream.next()).event == "feed"
        site.house.hub.positions(ALICE.id, [priced("pair", "111")], [])
        delta = await stream.next()
        assert delta.event == "positions"
        assert delta.data["seq"] == 2
        (change,) = delta.data["changes"]
        assert set(change) == {"id", "components", "unrealized_pnl", "net_pnl"}


async def test_two_users_streams_never_meet(site: Site) -> None:
    async with (
        streaming(site, await site.bearer(ALICE)) as alices,
        streaming(site, await site.bearer(BOB)) as bobs,
    ):
        await alices.next(), await alices.next()
        snapshot = await bobs.next()
        assert [position["name"] for position in snapshot.data["positions"]] == ["hers not"]
        await bobs.next()
        assert site.house.hub.watchers() == {ALICE.id, BOB.id}
        site.house.hub.positions(ALICE.id, [priced("pair", "111")], [])
        site.house.hub.positions(BOB.id, [priced("hers not", "7", owner=BOB)], [])
        (alices_change,) = (await alices.next()).data["changes"]
        (bobs_change,) = (await bobs.next()).data["changes"]
        assert alices_change["id"] == str(priced("pair", "1").position.id)
        assert bobs_change["id"] == str(priced("hers not", "1").position.id)


async def test_a_stream_resumes_where_it_was_cut(site: Site) -> None:
    alice, page = await site.bearer(), Page()
    async with streaming(site, alice) as stream:
        snapshot = await stream.event()
        page.apply(snapshot)
    site.house.hub.positions(ALICE.id, [priced("pair", "111")], [])
    site.house.board.shown[ALICE.id] = [priced("pair", "112"), priced("new", "1")]
    last = parse(snapshot)[0].id
    async with streaming(site, alice, last) as stream:
        first, second = await stream.event(), await stream.event()
        assert [frame.event for frame in parse(first + second)] == ["positions", "positions"]
        page.apply(first + second)
    assert {shown["name"] for shown in page.positions.values()} == {"pair", "new"}
    assert page.positions[parse(snapshot)[0].data["positions"][0]["id"]]["unrealized_pnl"] == "6.0"


async def test_a_client_that_left_is_noticed(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(heartbeat=0.02))
    async with streaming(site, await site.bearer()) as stream:
        await stream.next()
        assert site.house.hub.streams() == 1
    await until(lambda: site.house.hub.streams() == 0)
    assert site.house.hub.watchers() == frozenset()


async def test_a_quiet_stream_has_a_heartbeat(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(heartbeat=0.02))
    async with streaming(site, await site.bearer()) as stream:
        await stream.next(), await stream.next()
        assert await stream.block() == b": still here\n\n"
        assert await stream.block() == b": still here\n\n"


async def test_a_stream_ends_soon_after_its_token_was_revoked(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(recheck=0.02))
    async with streaming(site, await site.bearer()) as stream:
        await stream.next(), await stream.next()
        site.house.people.bearers.clear()
        assert await stream.block() == b""
    assert site.house.hub.streams() == 0


async def test_a_stream_outlives_a_database_that_is_away(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(recheck=0.02))
    async with streaming(site, await site.bearer()) as stream:
        await stream.next(), await stream.next()
        site.house.people.error = StoreUnavailable("store-unavailable", "The database is away.")
        before = site.house.people.asked
        await until(lambda: site.house.people.asked >= before + 2)
        site.house.hub.positions(ALICE.id, [priced("pair", "111")], [])
        assert (await stream.next()).event == "positions"


async def test_nobody_streams_without_signing_in(site: Site) -> None:
    async with site.client.get("/api/stream") as response:
        assert response.status == 401
    assert site.house.hub.streams() == 0


async def test_a_stream_too_many_is_refused_as_a_problem(site: Site) -> None:
    alice = await site.bearer()
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(streaming(site, alice))
        async with site.client.get("/api/stream", headers=alice) as response:
            assert response.status == 429
            assert (await response.json(content_type=None))["code"] == "too-many-streams"


async def test_a_client_that_reads_nothing_is_dropped_alone(open_site: OpenSite) -> None:
    house = House(hub=Hub(backlog_bytes=256 * 1024))
    site = await open_site(house=house)
    token = await site.bearer()
    stuck = await connect_and_read_nothing(site, token["Authorization"])
    async with streaming(site, token) as stream:
        await stream.next(), await stream.next()
        await until(lambda: house.hub.streams() == 2)
        page = Page(seq=1)
        for number in range(200):
            view = position_view(f"p{number}")
            long_note = replace(view.position, note=f"{number}" * 20_000)
            house.hub.positions(ALICE.id, [replace(view, position=long_note)], [])
            page.apply(await stream.event())
            if house.hub.counters.dropped_slow:
                break
        assert house.hub.counters.dropped_slow == 1
        await until(lambda: house.hub.streams() == 1)
        house.hub.positions(ALICE.id, [priced("after", "1")], [])
        page.apply(await stream.event())
    stuck.close()


async def test_a_client_that_takes_nothing_for_long_is_cut_off(open_site: OpenSite) -> None:
    """Too few frames to fill its backlog, and yet the write never ends."""
    house = House(hub=Hub(backlog_bytes=1 << 30))
    site = await open_site(HttpSettings(stalled_write=0.1), house)
    token = await site.bearer()
    stuck = await connect_and_read_nothing(site, token["Authorization"])
    await until(lambda: house.hub.streams() == 1)
    huge = position_view("huge")
    huge = replace(huge, position=replace(huge.position, note="x" * 16_000_000))
    house.hub.positions(ALICE.id, [huge], [])
    await until(lambda: house.hub.streams() == 0)
    assert house.hub.counters.dropped_slow == 0
    stuck.close()


async def test_a_dropped_client_does_not_hold_up_a_stop() -> None:
    """Its stream's task is stuck in a write that only a cut connection ends."""
    house = House(hub=Hub(backlog_bytes=1024))
    app = build_app(house.services(), HttpSettings(stalled_write=60))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(app, "127.0.0.1", 0))
        client = await stack.enter_async_context(aiohttp.ClientSession(base_url=url))
        site = Site(URL(url), house, house.services(), client)
        huge = position_view("huge")
        huge = replace(huge, position=replace(huge.position, note="x" * 16_000_000))
        house.board.shown[ALICE.id] = [huge]
        stuck = await connect_and_read_nothing(site, (await site.bearer())["Authorization"])
        await until(lambda: house.hub.streams() == 1)
        # Past the headers: the greeting is in the write that never ends. Now the backlog may fill.
        received = 0
        while received < 2_000:
            received += len(await asyncio.get_running_loop().sock_recv(stuck, 500))
        while not house.hub.counters.dropped_slow:
            house.hub.feed(ALICE.id, house.board.feed_state(ALICE.id))
        async with asyncio.timeout(2):
            await stack.aclose()
    stuck.close()


async def connect_and_read_nothing(site: Site, authorization: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.setblocking(False)
    await loop.sock_connect(stuck, (site.url.host, site.url.port))
    request = f"GET /api/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
    await loop.sock_sendall(stuck, request.encode())
    return stuck


async def test_stopping_the_server_ends_its_streams_at_once() -> None:
    house = House()
    app = build_app(house.services(), HttpSettings())
    async with AsyncExitStack() as stack:
        server = AsyncExitStack()
        url = await server.enter_async_context(serving(app, "127.0.0.1", 0))
        client = await stack.enter_async_context(aiohttp.ClientSession(base_url=url))
        site = Site(URL(url), house, house.services(), client)
        async with streaming(site, await site.bearer()) as stream:
            await stream.next(), await stream.next()
            async with asyncio.timeout(2):
                await server.aclose()
            assert await stream.block() == b""
    assert house.hub.streams() == 0


async def test_an_address_that_is_taken_is_an_error(site: Site) -> None:
    app = build_app(House().services(), HttpSettings())
    with pytest.raises(OSError, match="in use"):
        async with serving(app, "127.0.0.1", site.url.port or 0):
            pass
