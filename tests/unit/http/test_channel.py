from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.daemon.domain.model import PositionId, PositionStatus, Verdict
from positiond.daemon.domain.views import PositionView
from positiond.http import render
from positiond.http.channel import Channel

from tests.searching import examples

from .frames import Page, parse
from .stubs import leg_view, position_view, priced, uuid_of


def changes_in(frame: bytes | None) -> list[dict[str, object]]:
    assert frame is not None
    (only,) = parse(frame)
    changes = only.data["changes"]
    assert isinstance(changes, list)
    return changes


def test_a_new_channel_starts_with_a_snapshot_numbered_one() -> None:
    channel = Channel([priced("pair", "110")])
    (frame,) = parse(channel.snapshot())
    assert frame.event == "snapshot"
    assert frame.data["seq"] == 1
    assert frame.id == f"{channel.epoch}-1"
    assert frame.data["positions"] == [render.position(priced("pair", "110"))]


def test_a_delta_carries_only_the_fields_that_changed() -> None:
    channel = Channel([priced("pair", "110")])
    renamed = priced("pair", "110")
    renamed = replace(renamed, position=replace(renamed.position, name="other"))
    (change,) = changes_in(channel.positions([renamed], []))
    assert change == {"id": str(renamed.position.id), "name": "other"}


def test_components_come_whole_when_one_field_of_one_leg_changed() -> None:
    legs = (leg_view("BTCUSDT"), leg_view("ETHUSDT"))
    channel = Channel([position_view(legs=legs)])
    moved = position_view(legs=(legs[0], leg_view("ETHUSDT", price="111")))
    (change,) = changes_in(channel.positions([moved], []))
    assert set(change) == {"id", "components", "unrealized_pnl", "net_pnl"}
    components = change["components"]
    assert isinstance(components, list)
    assert [component["symbol"] for component in components] == ["BTCUSDT", "ETHUSDT"]


def test_nothing_is_sent_where_nothing_changed() -> None:
    channel = Channel([priced("pair", "110")])
    assert channel.positions([priced("pair", "110")], []) is None
    assert channel.seq == 1


def test_a_position_that_was_not_shown_comes_whole() -> None:
    channel = Channel([])
    (change,) = changes_in(channel.positions([priced("pair", "110")], []))
    assert change == render.position(priced("pair", "110"))


def test_a_removal_is_told_once_and_only_of_what_was_shown() -> None:
    channel = Channel([priced("pair", "110")])
    pair = PositionId(uuid_of("pair"))
    assert changes_in(channel.positions([], [pair])) == [{"id": str(pair), "removed": True}]
    assert channel.positions([], [pair]) is None
    assert channel.positions([], [PositionId(uuid_of("never seen"))]) is None


def test_a_position_that_arrives_closed_leaves_the_list() -> None:
    channel = Channel([priced("pair", "110")])
    closed = position_view("pair", status=PositionStatus.CLOSED)
    assert changes_in(channel.positions([closed], [])) == [
        {"id": str(closed.position.id), "removed": True}
    ]


def test_numbers_follow_one_another_whatever_the_event() -> None:
    channel = Channel([priced("pair", "110")])
    frames = [
        channel.positions([priced("pair", "111")], []),
        channel.frame("close", {"close_id": "c"}),
        channel.frame("feed", {"public": "live"}),
    ]
    seqs = [parse(frame)[0].data["seq"] for frame in frames if frame is not None]
    assert seqs == [2, 3, 4]
    assert parse(channel.snapshot())[0].data["seq"] == 4


def test_a_snapshot_is_encoded_once_until_the_next_frame() -> None:
    channel = Channel([priced("pair", "110")])
    assert channel.snapshot() is channel.snapshot()
    before = channel.snapshot()
    channel.positions([priced("pair", "111")], [])
    assert channel.snapshot() != before


def test_resuming_gives_exactly_the_frames_that_were_missed() -> None:
    channel = Channel([priced("pair", "110")])
    frames = [channel.positions([priced("pair", str(price))], []) for price in range(111, 116)]
    assert channel.since(f"{channel.epoch}-3") == frames[2:]
    assert channel.since(f"{channel.epoch}-6") == []


def test_an_id_that_is_not_this_channels_past_cannot_be_resumed() -> None:
    channel = Channel([priced("pair", "110")])
    channel.positions([priced("pair", "111")], [])
    other = Channel([])
    for last in (
        None,
        "",
        "nonsense",
        f"{other.epoch}-1",
        f"{channel.epoch}-",
        f"{channel.epoch}-99",
        f"{channel.epoch}-²",
        f"{channel.epoch}--1",
        f"{channel.epoch}-{'9' * 5000}",
    ):
        assert channel.since(last) is None


def test_what_fell_out_of_the_ring_cannot_be_resumed() -> None:
    channel = Channel([priced("pair", "1")])
    for price in range(2, 700):
        channel.positions([priced("pair", str(price))], [])
    assert channel.since(f"{channel.epoch}-2") is None
    recent = channel.since(f"{channel.epoch}-{channel.seq - 3}")
    assert recent is not None
    assert len(recent) == 3


def test_a_frame_larger_than_the_ring_leaves_no_gap_behind() -> None:
    channel = Channel([])
    channel.frame("feed", {"public": "x" * (2 << 20)})
    assert channel.since(f"{channel.epoch}-1") is None
    channel.frame("feed", {"public": "live"})
    assert channel.since(f"{channel.epoch}-1") is None
    assert channel.since(f"{channel.epoch}-2") is not None


NAMES = ("a", "b", "c")
VIEWS = st.builds(
    lambda name, price, verdict: replace(
        priced(name, str(price)), verdict=verdict, verdict_reason=None
    ),
    st.sampled_from(NAMES),
    st.integers(1, 3),
    st.sampled_from(Verdict),
)
STEPS = st.one_of(
    st.tuples(st.just("push"), st.lists(VIEWS, max_size=3)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
    st.tuples(st.just("join"), st.lists(VIEWS, max_size=3, unique_by=lambda v: v.position.name)),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_every_page_shows_the_same_whenever_it_joined_and_wherever_it_was_cut(
    steps: list[tuple[str, object]],
) -> None:
    channel = Channel([])
    pages = [Page()]
    pages[0].apply(channel.snapshot())
    frames: list[bytes] = []
    for kind, value in steps:
        if kind == "push":
            frame = channel.positions(_views(value), [])
        elif kind == "remove":
            frame = channel.positions([], [PositionId(uuid_of(str(value)))])
        else:
            frame = channel.bring_up_to_date(_views(value))
        if frame is not None:
            frames.append(frame)
            for page in pages:
                page.apply(frame)
        if kind == "join":
            pages.append(Page())
            pages[-1].apply(channel.snapshot())
            expected = {str(v.position.id): render.position(v) for v in _views(value)}
            assert pages[-1].positions == expected
    assert all(page.positions == pages[0].positions for page in pages)
    assert channel.since(f"{channel.epoch}-1") == frames


def _views(value: object) -> list[PositionView]:
    assert isinstance(value, list)
    return value
