"""Recorded frames: what a line may say, and when it is played."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.replay import Player, Recording, ReplayError

START = 1_760_000_000_000


def ticker(at_ms: int, symbol: str = "BTCUSDT", **data: str) -> dict[str, Any]:
    topic = f"tickers.{symbol}"
    return {"ts": START + at_ms, "topic": topic, "frame": {"topic": topic, "data": data}}


def book(at_ms: int, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    topic = "orderbook.1.BTCUSDT"
    return {"ts": START + at_ms, "topic": topic, "frame": {"data": {"b": bids, "a": asks}}}


def recorded(directory: Path, *lines: dict[str, Any] | str) -> Path:
    path = directory / "frames.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n")
    return path


def player(directory: Path, *lines: dict[str, Any] | str, speed: float = 1) -> Player:
    return Player(Recording(recorded(directory, *lines), default_listing()), speed)


def test_frames_are_played_when_their_time_comes(tmp_path: Path) -> None:
    frames = [ticker(at, markPrice=str(100 + at)) for at in (0, 50, 150, 900)]
    played = player(tmp_path, *frames)
    seen = [[m.values["mark"] for m in played.play(100)] for _ in range(3)]
    assert seen == [[Decimal(100), Decimal(150)], [Decimal(250)], []]


def test_speed_makes_recorded_time_pass_faster(tmp_path: Path) -> None:
    played = player(tmp_path, *(ticker(at, markPrice="1") for at in (0, 500, 1001)), speed=10)
    assert [len(played.play(100)) for _ in range(2)] == [2, 1]


def test_the_end_of_the_file_is_silence(tmp_path: Path) -> None:
    played = player(tmp_path, ticker(0, markPrice="1"))
    assert [len(played.play(100)) for _ in range(3)] == [1, 0, 0]


def test_a_book_shows_bid_and_ask(tmp_path: Path) -> None:
    (moment,) = player(tmp_path, book(0, [["99", "2"]], [])).play(1)
    assert moment.values == {"bid": Decimal(99), "bid_size": Decimal(2)}


def test_other_topics_and_unlisted_contracts_are_passed_over(tmp_path: Path) -> None:
    trade = ticker(0, markPrice="1") | {"topic": "publicTrade.BTCUSDT"}
    played = player(
        tmp_path, trade, ticker(0, "NEVERUSDT", markPrice="1"), ticker(0, lastPrice="7")
    )
    assert [dict(m.values) for m in played.play(1)] == [{"last": Decimal(7)}]


def test_an_empty_value_is_no_value(tmp_path: Path) -> None:
    (moment,) = player(tmp_path, ticker(0, fundingRate="", markPrice="5")).play(1)
    assert moment.values == {"mark": Decimal(5)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"topic":"x","frame":{}}', "ts is not a time"),
        ('{"ts":1,"frame":{}}', "topic is not a text"),
        ('{"ts":1,"topic":"tickers.BTCUSDT"}', "frame is not a frame"),
        (json.dumps(ticker(0, markPrice="x")), "mark is not a number"),
        (json.dumps(ticker(0, markPrice="-1")), "mark is not above 0"),
        (json.dumps(ticker(0, markPrice="1") | {"category": "swap"}), "category is unknown"),
        (json.dumps(book(0, [["1"]], [])), "frame holds no levels"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = recorded(tmp_path, ticker(0, markPrice="1"), "", line)
    with pytest.raises(ReplayError, match=f"line 3: {said}") as error:
        Recording(path, default_listing())
    assert "\n" not in str(error.value)


def test_a_missing_file_and_one_without_prices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        Recording(tmp_path / "none", default_listing())
    with pytest.raises(ReplayError, match="shows no price"):
        Recording(recorded(tmp_path, ""), default_listing())
