from __future__ import annotations

import pytest
from positiond.daemon.domain.errors import Throttled
from positiond.daemon.domain.model import PositionId, UserId
from positiond.daemon.domain.views import PositionView
from positiond.http.hub import Client, Hub

from .frames import Page, parse
from .stubs import ALICE, BOB, FEED, close_request, position_view, priced, uuid_of


class Line:
    """A stream's transport, as far as the hub knows it."""

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def join(
    hub: Hub,
    views: list[PositionView],
    *,
    user: UserId = ALICE.id,
    last: str | None = None,
    line: Line | None = None,
) -> Client:
    return hub.join(user, views, FEED, last, (line or Line()).abort)


async def test_a_stream_begins_with_a_snapshot_and_the_feeds_state() -> None:
    client = join(Hub(), [priced("pair", "110")])
    snapshot, feed = parse(await client.news(0))
    assert snapshot.event == "snapshot"
    assert [position["name"] for position in snapshot.data["positions"]] == ["pair"]
    assert feed.event == "feed"
    assert feed.id is None
    assert feed.data["public"] == "live"


async def test_all_streams_of_a_user_share_one_encoding() -> None:
    hub = Hub()
    first, second = join(hub, []), join(hub, [])
    await first.news(0)
    await second.news(0)
    hub.positions(ALICE.id, [priced("pair", "110")], [])
    assert await first.news(0) == await second.news(0)
    assert hub.counters.frames == 1


async def test_nothing_reaches_another_user() -> None:
    hub = Hub()
    alices, bobs = join(hub, []), join(hub, [], user=BOB.id)
    await alices.news(0)
    await bobs.news(0)
    hub.positions(ALICE.id, [priced("pair", "110")], [])
    hub.close(ALICE.id, close_request())
    hub.deviation(ALICE.id, position_view())
    hub.feed(ALICE.id, FEED)
    assert await bobs.news(0) == b""
    events = [frame.event for frame in parse(await alices.news(0))]
    assert events == ["positions", "close", "deviation", "feed"]


async def test_pushes_for_users_who_never_watched_cost_nothing() -> None:
    hub = Hub()
    hub.positions(ALICE.id, [priced("pair", "110")], [])
    hub.close(ALICE.id, close_request())
    assert hub.counters.frames == 0
    assert hub.watchers() == frozenset()


async def test_watchers_are_the_users_with_an_open_stream() -> None:
    hub = Hub()
    first, second = join(hub, []), join(hub, [])
    assert hub.watchers() == {ALICE.id}
    hub.leave(ALICE.id, first)
    assert hub.watchers() == {ALICE.id}
    hub.leave(ALICE.id, second)
    assert hub.watchers() == frozenset()
    hub.leave(ALICE.id, second)
    assert hub.streams() == 0


async def test_a_late_joiner_and_an_early_one_show_the_same_afterwards() -> None:
    """The joiner's snapshot may be newer than what was pushed: the others must catch up too."""
    hub = Hub()
    early, late = Page(), Page()
    first = join(hub, [priced("pair", "110")])
    early.apply(await first.news(0))
    second = join(hub, [priced("pair", "120")])
    late.apply(await second.news(0))
    # Back to the price that was pushed last: a delta against that would be empty.
    hub.positions(ALICE.id, [priced("pair", "110")], [])
    early.apply(await first.news(0))
    late.apply(await second.news(0))
    assert early.positions == late.positions
    (shown,) = late.positions.values()
    assert shown["components"][0]["price"] == "110"


async def test_what_vanished_while_nobody_watched_is_removed_on_resume() -> None:
    hub = Hub()
    page = Page()
    client = join(hub, [priced("a", "1"), priced("b", "1")])
    raw = await client.news(0)
    page.apply(raw)
    hub.leave(ALICE.id, client)
    again = join(hub, [priced("b", "2")], last=parse(raw)[0].id)
    page.apply(await again.news(0))
    assert hub.counters.resumed == 1
    assert [shown["name"] for shown in page.positions.values()] == ["b"]
    (shown,) = page.positions.values()
    assert shown["components"][0]["price"] == "2"


async def test_closes_of_the_time_between_two_streams_are_resumed() -> None:
    hub = Hub()
    client = join(hub, [])
    (snapshot, _) = parse(await client.news(0))
    hub.leave(ALICE.id, client)
    hub.close(ALICE.id, close_request())
    again = join(hub, [], last=snapshot.id)
    assert [frame.event for frame in parse(await again.news(0))] == ["close", "feed"]


async def test_an_unknown_last_id_gets_a_snapshot() -> None:
    hub = Hub()
    client = join(hub, [], last="0123-7")
    assert [frame.event for frame in parse(await client.news(0))] == ["snapshot", "feed"]
    assert (hub.counters.snapshots, hub.counters.resumed) == (1, 0)


async def test_an_id_of_another_user_is_not_resumed() -> None:
    hub = Hub()
    (snapshot, _) = parse(await join(hub, []).news(0))
    bobs = join(hub, [], user=BOB.id, last=snapshot.id)
    assert parse(await bobs.news(0))[0].event == "snapshot"


async def test_a_slow_client_is_dropped_and_nobody_else_notices() -> None:
    hub = Hub(backlog_bytes=5_000)
    slow_line, fine_line = Line(), Line()
    slow = join(hub, [], line=slow_line)
    fine = join(hub, [], line=fine_line)
    page = Page()
    page.apply(await fine.news(0))
    for price in range(1, 30):
        hub.positions(ALICE.id, [priced("pair", str(price))], [])
        page.apply(await fine.news(0))
    assert slow_line.is_aborted
    assert slow.is_ended
    assert not fine_line.is_aborted
    assert hub.counters.dropped_slow == 1
    assert hub.streams() == 1
    (shown,) = page.positions.values()
    assert shown["components"][0]["price"] == "29"


async def test_a_large_snapshot_alone_makes_nobody_slow() -> None:
    hub = Hub(backlog_bytes=3_000)
    line = Line()
    client = join(hub, [priced(f"p{i}", "1") for i in range(50)], line=line)
    hub.positions(ALICE.id, [priced("p1", "2")], [])
    assert not line.is_aborted
    assert len(await client.news(0)) > 3_000


async def test_the_backlog_is_counted_anew_after_it_was_taken() -> None:
    hub = Hub(backlog_bytes=2_000)
    line = Line()
    client = join(hub, [], line=line)
    for price in range(1, 100):
        hub.positions(ALICE.id, [priced("pair", str(price))], [])
        await client.news(0)
    assert not line.is_aborted


async def test_waiting_for_news_ends_at_its_time() -> None:
    client = join(Hub(), [])
    await client.news(0)
    assert await client.news(0.01) == b""


async def test_shutting_ends_the_open_streams_and_those_that_still_come() -> None:
    hub = Hub()
    before = join(hub, [])
    hub.shut()
    assert before.is_ended
    assert join(hub, []).is_ended


async def test_a_user_cannot_open_streams_without_end() -> None:
    hub = Hub()
    for _ in range(20):
        join(hub, [])
    with pytest.raises(Throttled) as refused:
        join(hub, [])
    assert refused.value.code == "too-many-streams"
    join(hub, [], user=BOB.id)


async def test_the_past_of_a_user_who_left_is_forgotten_in_time() -> None:
    now = 0.0
    hub = Hub(monotonic=lambda: now)
    client = join(hub, [])
    (snapshot, _) = parse(await client.news(0))
    hub.leave(ALICE.id, client)
    now = 299.0
    again = join(hub, [], last=snapshot.id)
    assert hub.counters.resumed == 1
    hub.leave(ALICE.id, again)
    now = 900.0
    join(hub, [], last=snapshot.id)
    assert hub.counters.resumed == 1


async def test_a_user_who_came_back_is_not_forgotten_while_here() -> None:
    now = 0.0
    hub = Hub(monotonic=lambda: now)
    hub.leave(ALICE.id, join(hub, []))
    client = join(hub, [])
    await client.news(0)
    now = 900.0
    join(hub, [], user=BOB.id)
    hub.positions(ALICE.id, [priced("pair", "110")], [])
    assert [frame.event for frame in parse(await client.news(0))] == ["positions"]


async def test_a_removal_reaches_the_stream() -> None:
    hub = Hub()
    client = join(hub, [priced("pair", "110")])
    await client.news(0)
    pair = PositionId(uuid_of("pair"))
    hub.positions(ALICE.id, [], [pair])
    (frame,) = parse(await client.news(0))
    assert frame.data["changes"] == [{"id": str(pair), "removed": True}]
