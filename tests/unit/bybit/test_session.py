"""The stream protocol with literal frames and a clock in hand."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.bybit.oddities import Oddities
from positiond.bybit.paper.sessions import PublicSession
from positiond.bybit.session import (
    MOST_CHARACTERS,
    AuthRefused,
    Dead,
    Ready,
    SessionEvent,
    StreamSession,
    TopicRefused,
    Unreadable,
    topics_per_request,
)
from positiond.bybit.vocab import Category
from positiond.bybit.wire_stream import Pong, Push

from tests.searching import examples


class Talk:
    """A session and the venue's end of it: what it said, read back."""

    def __init__(
        self, *topics: str, private: bool = False, chunk: int = 100, start: bool = True
    ) -> None:
        self.oddities = Oddities()
        self.session = StreamSession(
            topics=frozenset(topics),
            oddities=self.oddities,
            authenticate=(lambda: ("KEY", 1760000010000, "abcdef")) if private else None,
            chunk=chunk,
        )
        self.first = self.session.start(0.0) if start else []

    def said(self) -> list[dict[str, object]]:
        return [orjson.loads(frame) for frame in self.session.frames_to_send()]

    def hear(self, message: object, now: float = 1.0) -> Sequence[SessionEvent]:
        text = message if isinstance(message, str) else orjson.dumps(message).decode()
        return self.session.receive(text, now)

    def ack(self, request: dict[str, object], **changes: object) -> Sequence[SessionEvent]:
        reply = {
            "success": True,
            "ret_msg": "",
            "conn_id": "c1",
            "req_id": request["req_id"],
            "op": request["op"],
        }
        return self.hear({**reply, **changes})


def converse(talk: Talk, venue: PublicSession) -> list[SessionEvent]:
    """Both ends talk until neither has anything to say; what came of it but `Ready`."""
    events: list[SessionEvent] = []
    while asked := talk.said():
        for request in asked:
            events += hear(talk, venue, request)
    return [event for event in events if event != Ready()]


def hear(talk: Talk, venue: PublicSession, request: dict[str, object]) -> list[SessionEvent]:
    """The venue answers one request of ours."""
    replies = venue.hear(orjson.dumps(request).decode()).replies
    return [event for reply in replies for event in talk.hear(dict(reply))]


AUTH_OK = {"success": True, "ret_msg": "", "op": "auth", "conn_id": "c1"}


class TestAuthentication:
    def test_nothing_is_subscribed_before_the_ack(self) -> None:
        talk = Talk("position", "order", private=True)
        (auth,) = talk.said()
        assert (auth["op"], auth["args"]) == ("auth", ["KEY", 1760000010000, "abcdef"])
        talk.session.tick(5.0)
        assert talk.said() == []
        assert talk.hear(AUTH_OK) == []
        (subscribe,) = talk.said()
        assert (subscribe["op"], subscribe["args"]) == ("subscribe", ["order", "position"])

    def test_it_is_ready_only_when_the_topics_are_acknowledged(self) -> None:
        talk = Talk("position", private=True)
        talk.said()
        assert Ready() not in talk.hear(AUTH_OK)
        (subscribe,) = talk.said()
        assert talk.ack(subscribe) == [Ready()]

    def test_the_spelling_with_a_return_code_is_an_ack_too(self) -> None:
        talk = Talk("position", private=True)
        talk.said()
        talk.hear({"retCode": 0, "retMsg": "OK", "op": "auth", "connId": "c"})
        assert [frame["op"] for frame in talk.said()] == ["subscribe"]

    @pytest.mark.parametrize(
        ("frame", "code", "reason"),
        [
            (
                {"success": False, "ret_msg": "Params Error", "op": "auth", "conn_id": "c"},
                None,
                "Params Error",
            ),
            (
                {"retCode": 10003, "retMsg": "API key is invalid.", "op": "auth", "connId": "c"},
                10003,
                "API key is invalid.",
            ),
        ],
    )
    def test_both_spellings_of_a_refusal_are_refusals(
        self, frame: object, code: int | None, reason: str
    ) -> None:
        talk = Talk("position", private=True)
        talk.said()
        assert talk.hear(frame) == [AuthRefused(code, reason)]
        assert talk.said() == []

    def test_a_missing_ack_ends_the_session(self) -> None:
        talk = Talk("position", private=True)
        assert talk.session.tick(9.0) == []
        (dead,) = talk.session.tick(10.5)
        assert isinstance(dead, Dead)
        assert "auth" in dead.reason

    def test_a_signature_shows_in_no_repr(self) -> None:
        talk = Talk("position", private=True)
        assert "abcdef" not in repr(talk.session._asked)


class TestSubscriptions:
    def test_nothing_wanted_is_ready_at_once(self) -> None:
        assert Talk().first == [Ready()]

    def test_only_differences_go_out(self) -> None:
        talk = Talk("tickers.A", "tickers.B")
        talk.ack(talk.said()[0])
        talk.session.want(frozenset({"tickers.B", "tickers.C"}), 2.0)
        gone, new = talk.said()
        assert (gone["op"], gone["args"]) == ("unsubscribe", ["tickers.A"])
        assert (new["op"], new["args"]) == ("subscribe", ["tickers.C"])
        talk.session.want(frozenset({"tickers.B", "tickers.C"}), 3.0)
        assert talk.said() == []

    def test_what_is_wanted_before_the_ack_of_auth_is_subscribed_after_it(self) -> None:
        talk = Talk("position", private=True)
        talk.said()
        talk.session.want(frozenset({"order"}), 0.5)
        assert talk.said() == []
        talk.hear(AUTH_OK)
        assert [frame["args"] for frame in talk.said()] == [["order"]]

    def test_ready_comes_once(self) -> None:
        talk = Talk("tickers.A")
        assert talk.ack(talk.said()[0]) == [Ready()]
        talk.session.want(frozenset({"tickers.B"}), 2.0)
        assert [list(talk.ack(request)) for request in talk.said()] == [[], []]

    def test_spot_gets_ten_arguments_a_request(self) -> None:
        symbols = [f"tickers.S{n:02}" for n in range(23)]
        talk = Talk(*symbols, chunk=topics_per_request(Category.SPOT))
        sizes = [len(frame["args"]) for frame in talk.said()]  # type: ignore[arg-type]  # JSON
        assert sizes == [10, 10, 3]

    def test_a_bad_topic_that_is_named_costs_the_others_one_more_request(self) -> None:
        talk = Talk("tickers.A", "tickers.BAD", "tickers.C")
        (together,) = talk.said()
        refusal = "error:handler not found,topic:tickers.BAD"
        refused = talk.ack(together, success=False, ret_msg=refusal)
        assert refused == [TopicRefused("tickers.BAD", refusal)]
        (others,) = talk.said()
        assert others["args"] == ["tickers.A", "tickers.C"]
        assert talk.ack(others) == [Ready()]
        assert talk.said() == [], "a refused topic is left alone"
        talk.session.want(frozenset({"tickers.A"}), 2.0)
        talk.session.want(frozenset({"tickers.A", "tickers.BAD"}), 3.0)
        assert ["tickers.BAD"] in [frame["args"] for frame in talk.said()]

    @pytest.mark.parametrize("bad", [0, 3, 6])
    def test_a_bad_topic_that_is_not_named_is_found_by_halves(self, bad: int) -> None:
        topics = [f"tickers.S{n}" for n in range(7)]
        talk = Talk(*topics)
        asked, taken, requests = talk.said(), set[str](), 0
        events: list[SessionEvent] = []
        while asked:
            request = asked.pop(0)
            requests += 1
            names = request["args"]
            assert isinstance(names, list)
            is_good = topics[bad] not in names
            taken |= set(names) if is_good else set()
            events += talk.ack(request, success=is_good, ret_msg="" if is_good else "no")
            asked += talk.said()
        assert events == [TopicRefused(topics[bad], "no"), Ready()]
        assert taken == set(topics) - {topics[bad]}
        assert requests <= 7

    def test_a_topic_that_is_subscribed_already_is_no_fault(self) -> None:
        talk = Talk("tickers.A")
        (request,) = talk.said()
        message = "error:already subscribed,topic:tickers.A"
        assert talk.ack(request, success=False, ret_msg=message) == [Ready()]

    @pytest.mark.parametrize("is_named", [True, False])
    def test_a_topic_that_is_subscribed_already_does_not_cost_the_others_theirs(
        self, is_named: bool
    ) -> None:
        topics = [f"tickers.S{n}" for n in range(5)]
        talk = Talk(*topics)
        asked, held = talk.said(), {topics[0], topics[3]}
        events: list[SessionEvent] = []
        while asked:
            request = asked.pop(0)
            names = request["args"]
            assert isinstance(names, list)
            again = next((name for name in names if name in held), None)
            held |= set() if again else set(names)
            named = f",topic:{again}" if is_named else ""
            said = f"error:already subscribed{named}" if again else ""
            events += talk.ack(request, success=not again, ret_msg=said)
            asked += talk.said()
        assert events == [Ready()]
        assert held == set(topics)
        talk.session.want(frozenset(), 2.0)
        assert [frame["args"] for frame in talk.said()] == [topics], "all of them count as taken"

    def test_an_unsubscribe_that_is_refused_costs_nothing_when_its_topic_is_wanted_anew(
        self,
    ) -> None:
        talk = Talk("tickers.BTCUSDT")
        venue = PublicSession(Category.LINEAR, "c1", lambda: 1, lambda symbol: True)
        converse(talk, venue)
        talk.session.want(frozenset({"tickers.ETHUSDT"}), 2.0)
        gone, new = talk.said()
        # Refused, so the venue still has it.
        talk.ack(gone, success=False, ret_msg="error:internal")
        hear(talk, venue, new)
        talk.session.want(frozenset({"tickers.ADAUSDT", "tickers.BTCUSDT", "tickers.ETHUSDT"}), 3.0)
        assert converse(talk, venue) == []
        assert venue.topics == {"tickers.ADAUSDT", "tickers.BTCUSDT", "tickers.ETHUSDT"}

    def test_what_is_given_up_while_its_request_is_refused_is_not_asked_for_again(self) -> None:
        talk = Talk("tickers.A", "tickers.BAD", "tickers.C")
        (together,) = talk.said()
        talk.session.want(frozenset({"tickers.A", "tickers.BAD"}), 0.5)
        talk.said()
        talk.ack(together, success=False, ret_msg="error:handler not found,topic:tickers.BAD")
        assert [frame["args"] for frame in talk.said()] == [["tickers.A"]]

    def test_the_option_spelling_acknowledges_the_oldest_request(self) -> None:
        talk = Talk("tickers.BTC-X-C")
        reply = {
            "success": True,
            "conn_id": "c",
            "data": {"failTopics": [], "successTopics": ["tickers.BTC-X-C"]},
            "type": "COMMAND_RESP",
        }
        assert talk.hear(reply) == [Ready()]

    def test_the_option_spelling_names_the_topics_that_failed(self) -> None:
        talk = Talk("tickers.BTC-X-C", "tickers.BTC-Y-C")
        talk.said()
        reply = {
            "success": True,
            "conn_id": "c",
            "data": {"failTopics": ["tickers.BTC-Y-C"], "successTopics": ["tickers.BTC-X-C"]},
            "type": "COMMAND_RESP",
        }
        assert talk.hear(reply) == [TopicRefused("tickers.BTC-Y-C", ""), Ready()]
        assert talk.said() == []

    @pytest.mark.parametrize("request_id", [{}, {"req_id": ""}])
    def test_an_ack_without_a_request_id_counts_in_order(self, request_id: object) -> None:
        talk = Talk("tickers.A")
        reply = {"success": True, "ret_msg": "subscribe", "op": "subscribe", "conn_id": "c"}
        assert isinstance(request_id, dict)
        assert talk.hear({**reply, **request_id}) == [Ready()]

    def test_topics_beyond_the_venues_limit_are_reported_not_sent(self) -> None:
        topics = [f"tickers.SYMBOL{n:05}USDT" for n in range(1200)]
        talk = Talk(*topics)
        refused = [event for event in talk.first if isinstance(event, TopicRefused)]
        sent = sum(len(orjson.dumps(frame["args"])) for frame in talk.said())
        assert refused
        assert sent <= MOST_CHARACTERS

    def test_a_missing_ack_ends_the_session(self) -> None:
        talk = Talk("tickers.A")
        (dead,) = talk.session.tick(11.0)
        assert isinstance(dead, Dead)
        assert "subscribe" in dead.reason


class TestHeartbeat:
    def test_a_text_ping_goes_out_every_twenty_seconds(self) -> None:
        talk = Talk()
        pings = []
        for second in range(1, 61):
            assert talk.session.tick(float(second)) == []
            for frame in talk.said():
                pings.append(second)
                talk.hear({"op": "pong", "req_id": frame["req_id"]}, second + 0.1)
        assert pings == [20, 40, 60]

    @pytest.mark.parametrize(
        "pong",
        [
            {"success": True, "ret_msg": "pong", "conn_id": "c", "op": "ping"},
            {"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": "", "op": "ping"},
            {"args": ["1672916271846"], "op": "pong"},
            {"req_id": "test", "op": "pong", "args": ["1675418560633"], "conn_id": "c"},
            {"retCode": 0, "retMsg": "OK", "op": "pong", "data": ["1"], "connId": "c"},
        ],
    )
    def test_every_channels_pong_is_life(self, pong: object) -> None:
        talk = Talk()
        talk.session.tick(20.0)
        assert talk.hear(pong, 29.0) == (Pong(),)
        assert talk.session.tick(31.0) == []

    def test_a_stream_that_answers_nothing_is_dead(self) -> None:
        talk = Talk()
        assert talk.session.tick(20.0) == []
        assert talk.session.tick(29.0) == []
        (dead,) = talk.session.tick(30.5)
        assert isinstance(dead, Dead)

    def test_data_is_life_even_where_a_pong_is_late(self) -> None:
        talk = Talk()
        talk.session.tick(20.0)
        talk.hear({"topic": "tickers.A", "type": "delta"}, 25.0)
        assert talk.session.tick(31.0) == []


class TestBrokenFrames:
    def test_a_push_is_handed_on_as_it_came(self) -> None:
        message = {"topic": "tickers.A", "type": "delta", "data": {}}
        assert Talk().hear(message) == (Push("tickers.A", message),)

    @pytest.mark.parametrize(
        "frame",
        ["", "{", "[]", "null", "{}", '{"op":"surprise"}', '{"topic":7}', '{"op":"order.create"}'],
    )
    def test_a_frame_of_no_sense_is_counted_and_ends_nothing(self, frame: str) -> None:
        talk = Talk("tickers.A")
        (request,) = talk.said()
        assert list(talk.hear(frame)) == [Unreadable()]
        assert sum(talk.oddities.counts.values()) == 1
        assert talk.ack(request) == [Ready()]

    def test_an_answer_to_no_request_is_counted_and_ends_nothing(self) -> None:
        talk = Talk("tickers.A")
        reply = {"success": True, "ret_msg": "", "op": "subscribe", "req_id": "999"}
        assert list(talk.hear(reply)) == []
        assert sum(talk.oddities.counts.values()) == 1

    @settings(max_examples=examples(200), deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["op", "topic", "type", "data", "success", "req_id", "retCode", "args"]
                    ),
                    inner | st.sampled_from(["auth", "subscribe", "ping", "COMMAND_RESP"]),
                    max_size=5,
                )
            ),
            max_leaves=8,
        )
    )
    def test_no_json_at_all_can_break_a_session(self, message: object) -> None:
        talk = Talk("tickers.A", private=True)
        text = (
            orjson.dumps(message, default=str, option=orjson.OPT_NON_STR_KEYS)
            if _fits(message)
            else b"{}"
        )
        for event in talk.session.receive(text.decode(), 1.0):
            assert isinstance(event, SessionEvent)
        talk.session.tick(2.0)


def _fits(message: object) -> bool:
    try:
        orjson.dumps(message)
    except (TypeError, orjson.JSONEncodeError):
        return False
    return True
