"""From a change to the pages that watch it: the stream's own cost, and the whole way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from positiond.daemon.domain.people import Scope, User
from positiond.daemon.domain.views import PositionView
from positiond.http.app import build_app, serving
from positiond.http.channel import Channel
from positiond.http.keys import digest, new_token
from positiond.http.services import HttpSettings

from tests.bench import bare
from tests.bench.crowd import Heard, Target, listening
from tests.bench.stage import LINEAR, Stage, a_stage
from tests.bench.table import Row, Table, p50_p99, quantile
from tests.unit.http.stubs import House, leg_view, position_view

_POSITIONS, _LEGS = 20, 3
_ROUNDS = 30
_CLIENTS = (1, 50)
# A user may have 20 streams open.
_USERS = 3
_MOST_OF_ONE_USER = 20
_PAUSE = 0.05
_WATCHED_SECONDS = 6.0


async def run() -> Table:
    rows: list[Row] = []
    for clients in _CLIENTS:
        rows += await _fan_out(clients)
    rows += await _whole_way()
    return Table(
        f"SSE: a change to its receipt, {_POSITIONS} positions of {_LEGS} legs changed at once",
        ("frames", "p50 ms", "p99 ms"),
        tuple(rows),
        (
            "clients in a process of their own; every client received every frame.",
            "hub: rendered, compared and encoded for each user of up to 20 streams, then sent; "
            "the bare peer has one frame of the same size encoded beforehand.",
            "whole way: the exchange's stamp to the page, of which the daemon gathers changes "
            "for up to 100 ms; the subscriber hears the exchange directly.",
        ),
    )


# --- the stream alone --------------------------------------------------------------------------


@dataclass(slots=True)
class _Audience:
    """A user, as many clients, and when each change was told."""

    user: User
    clients: int
    told: list[float] = field(default_factory=list)


async def _fan_out(clients: int) -> list[Row]:
    house, streams = House(), bare.EventStreams()
    audiences = await _audiences(house, clients)
    app = build_app(house.services(), HttpSettings())
    async with (
        serving(app, "127.0.0.1", 0) as url,
        bare.serving(streams.add_to) as bare_url,
        listening(await _pages(house, url, audiences)) as pages,
        listening([Target(bare_url)] * clients) as others,
    ):
        bare_told = await _push(house, streams, audiences)
        await asyncio.sleep(0.5)
    lags, start = [], 0
    for audience in audiences:
        mine = pages.heard[start : start + audience.clients]
        lags += [lag for heard in mine for lag in _lags(heard, audience.told)]
        start += audience.clients
    bare_lags = [lag for heard in others.heard for lag in _lags(heard, bare_told)]
    ratio = quantile(lags, 0.5) / quantile(bare_lags, 0.5)
    name = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        Row(f"hub, {name}", (str(len(lags)), *p50_p99(lags)), "bare", ratio),
        Row(f"bare aiohttp SSE, {name}", (str(len(bare_lags)), *p50_p99(bare_lags))),
    ]


async def _push(
    house: House, streams: bare.EventStreams, audiences: Sequence[_Audience]
) -> list[float]:
    """The same changes through the hub and through the peer, in turn."""
    frame = _frame(audiences[0].user)
    bare_told = []
    for number in range(1, _ROUNDS + 1):
        for audience in audiences:
            views = _views(audience.user, number)
            house.board.shown[audience.user.id] = views
            audience.told.append(time.time())
            house.hub.positions(audience.user.id, views, [])
        await asyncio.sleep(_PAUSE)
        bare_told.append(time.time())
        streams.push(frame)
        await asyncio.sleep(_PAUSE)
    return bare_told


def _lags(heard: Sequence[Heard], told: Sequence[float]) -> list[float]:
    """Seconds from each change to its frame; AssertionError unless every change came."""
    came = [one.at for one in heard if "event: positions\n" in one.text]
    assert len(came) == len(told), f"{len(came)} of {len(told)} frames"
    return [at - began for at, began in zip(came, told, strict=True)]


async def _audiences(house: House, clients: int) -> list[_Audience]:
    users = min(_USERS, clients)
    made = []
    for number in range(users):
        user = await house.people.add_user(f"trader {number}", "no password: tokens only")
        house.board.shown[user.id] = _views(user, 0)
        share = clients // users + (number < clients % users)
        assert share <= _MOST_OF_ONE_USER
        made.append(_Audience(user, share))
    return made


async def _pages(house: House, url: str, audiences: Sequence[_Audience]) -> list[Target]:
    """In the order of the audiences."""
    targets: list[Target] = []
    for audience in audiences:
        token = new_token()
        await house.people.create_token(audience.user.id, "bench", Scope.READ, digest(token))
        targets += [_page(url, token)] * audience.clients
    return targets


def _page(url: str, token: str) -> Target:
    return Target(f"{url}/api/stream", {"Authorization": f"Bearer {token}"})


def _views(user: User, number: int) -> list[PositionView]:
    """All of a user's positions at the prices of round `number`."""
    return [
        position_view(
            name := f"{user.username}/{n}",
            owner=user,
            legs=tuple(
                leg_view(f"COIN{leg}USDT", position=name, price=f"{100 + number}.{n}{leg}")
                for leg in range(_LEGS)
            ),
        )
        for n in range(_POSITIONS)
    ]


def _frame(user: User) -> bytes:
    frame = Channel(_views(user, 0)).positions(_views(user, 1), [])
    assert frame is not None
    return frame


# --- from the exchange to the page -------------------------------------------------------------


async def _whole_way() -> list[Row]:
    rows = []
    async with a_stage(accounts=1) as stage:
        listed = stage.listed
        for n in range(_POSITIONS):
            legs = [listed[(n + leg * 7) % len(listed)] for leg in range(_LEGS)]
            await stage.hold(stage.traders[0], legs)
        await stage.until_in_sync(_POSITIONS)
        topics = [f"tickers.{instrument.symbol}" for instrument in listed]
        subscribe = orjson.dumps({"op": "subscribe", "args": topics}).decode()
        exchange = Target(f"{stage.paper.ws_url}/v5/public/{LINEAR}", says=[subscribe])
        for clients in (1, _MOST_OF_ONE_USER):
            page = await _page_of(stage)
            async with listening([page] * clients + [exchange]) as crowd:
                began = time.time()
                await asyncio.sleep(_WATCHED_SECONDS)
            *pages, direct = crowd.heard
            lags = [lag for heard in pages for lag in _page_lags(heard, began)]
            direct_lags = _ticker_lags(direct, began)
            name = f"{clients} client{'s' if clients > 1 else ''}"
            rows += [
                Row(f"whole way, {name}", (str(len(lags)), *p50_p99(lags))),
                Row(
                    f"exchange's subscriber beside {name}",
                    (str(len(direct_lags)), *p50_p99(direct_lags)),
                ),
            ]
    return rows


async def _page_of(stage: Stage) -> Target:
    (user,) = [u for u in await stage.world.store.people.users() if u.id == stage.user_id]
    return _page(stage.world.url, await stage.world.token(user, Scope.READ))


def _page_lags(heard: Sequence[Heard], began: float) -> list[float]:
    """Of each frame of changed positions: from the newest price in it to its receipt."""
    lags = []
    for one in heard:
        if "event: positions\n" not in one.text or one.at < began:
            continue
        changes = orjson.loads(one.text.partition("data: ")[2])["changes"]
        stamps = [
            datetime.fromisoformat(leg["price_at"]).timestamp()
            for change in changes
            for leg in change.get("components", ())
        ]
        if stamps:
            lags.append(one.at - max(stamps))
    assert len(lags) > _WATCHED_SECONDS * 5, f"only {len(lags)} frames"
    return lags


def _ticker_lags(heard: Sequence[Heard], began: float) -> list[float]:
    frames = [(one.at, orjson.loads(one.text)) for one in heard if one.at >= began]
    return [at - frame["ts"] / 1000 for at, frame in frames if frame.get("type") == "delta"]
