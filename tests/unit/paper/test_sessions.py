"""The stream protocol: each channel's own spelling of acks, pongs and errors."""

import orjson
import pytest
from positiond.bybit.paper.model import Account, Uid
from positiond.bybit.paper.sessions import Heard, PrivateSession, PublicSession
from positiond.bybit.vocab import Category

ACCOUNT = Account(Uid("1"), "", "key", "secret", False, 0)


def public(category: Category, *more: str) -> PublicSession:
    listed = {"BTCUSDT", *more}
    return PublicSession(category, "c1", lambda: 1_760_000_000_000, listed.__contains__)


def private() -> PrivateSession:
    return PrivateSession(
        "c2", lambda: 1_760_000_000_000, lambda key, *_: ACCOUNT if key == "key" else None
    )


def say(session: PublicSession | PrivateSession, **request: object) -> Heard:
    return session.hear(orjson.dumps(request).decode())


@pytest.mark.parametrize("category", [Category.LINEAR, Category.INVERSE, Category.SPOT])
def test_a_public_pong_says_its_op_is_ping(category: Category) -> None:
    (pong,) = say(public(category), op="ping", req_id="3").replies
    assert pong == {
        "success": True,
        "ret_msg": "pong",
        "conn_id": "c1",
        "req_id": "3",
        "op": "ping",
    }


def test_option_and_private_pongs_say_pong_and_carry_the_time() -> None:
    (pong,) = say(public(Category.OPTION), op="ping", req_id="3").replies
    assert pong == {"args": ["1760000000000"], "op": "pong"}
    (pong,) = say(private(), op="ping", req_id="3").replies
    assert pong == {"req_id": "3", "op": "pong", "args": ["1760000000000"], "conn_id": "c2"}
    (pong,) = say(private(), op="ping").replies
    assert "req_id" not in pong


def test_a_subscription_is_acknowledged_and_taken() -> None:
    session = public(Category.LINEAR)
    heard = say(session, op="subscribe", req_id="2", args=["tickers.BTCUSDT"])
    assert heard.added == ["tickers.BTCUSDT"]
    assert heard.replies == [
        {"success": True, "ret_msg": "", "conn_id": "c1", "req_id": "2", "op": "subscribe"}
    ]
    (spot,) = say(public(Category.SPOT), op="subscribe", args=["tickers.BTCUSDT"]).replies
    assert spot["ret_msg"] == "subscribe"


def test_one_bad_topic_fails_the_whole_request() -> None:
    session = public(Category.LINEAR)
    heard = say(session, op="subscribe", args=["tickers.BTCUSDT", "tickers.FOO"])
    assert heard.replies[0]["success"] is False
    assert heard.replies[0]["ret_msg"] == "error:handler not found,topic:tickers.FOO"
    assert not session.topics
    assert not heard.added


def test_a_second_subscription_of_a_topic_is_refused() -> None:
    session = public(Category.LINEAR)
    say(session, op="subscribe", args=["tickers.BTCUSDT"])
    (again,) = say(session, op="subscribe", args=["tickers.BTCUSDT"]).replies
    assert again["ret_msg"] == "error:already subscribed,topic:tickers.BTCUSDT"
    say(session, op="unsubscribe", args=["tickers.BTCUSDT"])
    assert not session.topics


def test_options_list_what_failed_and_take_the_rest() -> None:
    session = public(Category.OPTION, "BTC-26DEC25-100000-C")
    heard = say(session, op="subscribe", args=["tickers.BTC-26DEC25-100000-C", "nonsense"])
    (reply,) = heard.replies
    assert reply == {
        "success": False,
        "conn_id": "c1",
        "data": {
            "failTopics": ["nonsense"],
            "successTopics": ["tickers.BTC-26DEC25-100000-C"],
        },
        "type": "COMMAND_RESP",
    }


def test_spot_takes_ten_topics_in_one_request_and_no_more() -> None:
    symbols = [f"A{n}USDT" for n in range(11)]
    topics = [f"tickers.{symbol}" for symbol in symbols]
    session = public(Category.SPOT, *symbols)
    assert say(session, op="subscribe", args=topics[:10]).replies[0]["success"]
    session = public(Category.SPOT, *symbols)
    assert not say(session, op="subscribe", args=topics).replies[0]["success"]


def test_an_option_connection_takes_2000_topics() -> None:
    symbols = [f"BTC-26DEC25-{n}-C" for n in range(2001)]
    topics = [f"tickers.{symbol}" for symbol in symbols]
    session = public(Category.OPTION, *symbols)
    assert say(session, op="subscribe", args=topics[:1999]).replies[0]["success"]
    (reply,) = say(session, op="subscribe", args=topics[1999:]).replies
    assert reply["data"] == {"failTopics": topics[2000:], "successTopics": topics[1999:2000]}


@pytest.mark.parametrize("topic", ["orderbook.1.BTCUSDT", "tickers.NEVER"])
def test_an_option_connection_knows_neither_orderbook_1_nor_unlisted_symbols(topic: str) -> None:
    (reply,) = say(public(Category.OPTION), op="subscribe", args=[topic]).replies
    assert reply["data"] == {"failTopics": [topic], "successTopics": []}


def test_nothing_private_is_told_before_authentication() -> None:
    session = private()
    (reply,) = say(session, op="subscribe", args=["order"]).replies
    assert (reply["success"], reply["ret_msg"]) == (False, "Request not authorized")
    (reply,) = say(session, op="auth", args=["wrong", 1, "x"], req_id="1").replies
    assert reply == {
        "req_id": "1",
        "success": False,
        "ret_msg": "Params Error",
        "op": "auth",
        "conn_id": "c2",
    }
    assert not session.topics


def test_private_topics_come_whole_or_by_category_but_not_both() -> None:
    session = private()
    assert say(session, op="auth", args=["key", 1, "x"]).replies[0]["success"]
    assert not say(session, op="subscribe", args=["order", "order.linear"]).replies[0]["success"]
    assert say(session, op="subscribe", args=["order", "position.linear"]).replies[0]["success"]
    (bad,) = say(session, op="subscribe", args=["orders"]).replies
    assert bad["ret_msg"] == "error:handler not found,topic:orders"
    assert session.topics == {"order", "position.linear"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"op":1}', '{"op":"ping","args":5}', "null"])
def test_nonsense_is_answered_and_changes_nothing(text: str) -> None:
    for session in (public(Category.LINEAR), private()):
        (reply,) = session.hear(text).replies
        assert reply["success"] is False
