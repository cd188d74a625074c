"""Prices from a file of recorded frames."""

import argparse
import json
from pathlib import Path

import aiohttp
import pytest
from positiond.bybit.paper.options import OptionError, PaperOptions, add_paper_arguments
from positiond.bybit.paper.server import PaperServer

from .client import Client

START = 1_760_000_000_000


def line(at_ms: int, symbol: str = "BTCUSDT", category: str = "linear", **data: str) -> str:
    topic = f"tickers.{symbol}"
    frame = {"topic": topic, "type": "delta", "data": {"symbol": symbol, **data}}
    return json.dumps({"ts": START + at_ms, "topic": topic, "category": category, "frame": frame})


def recorded(directory: Path) -> Path:
    path = directory / "frames.jsonl"
    book = {"data": {"b": [["64999.90", "3"]], "a": [["65000.10", "4"]]}}
    rows = [
        line(0, markPrice="65000.00", indexPrice="65001.00", lastPrice="65000.10"),
        json.dumps({"ts": START, "topic": "orderbook.1.BTCUSDT", "frame": book}),
        line(250, markPrice="65010.00"),
        line(500, "ETHUSDT", "spot", lastPrice="3100.5"),
    ]
    path.write_text("\n".join(rows))
    return path


async def ticker(
    client: Client, category: str = "linear", symbol: str = "BTCUSDT"
) -> dict[str, str]:
    rows = await client.get("/v5/market/tickers", f"category={category}&symbol={symbol}")
    (row,) = rows["result"]["list"]
    return dict(row)


async def test_prices_come_from_the_file_at_their_time(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with PaperServer(clock="manual", replay=recorded(tmp_path)) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        await paper.step(100)
        row = await ticker(client)
        assert (row["markPrice"], row["indexPrice"], row["lastPrice"]) == (
            "65000.00",
            "65001.00",
            "65000.10",
        )
        assert (row["bid1Price"], row["ask1Price"], row["ask1Size"]) == (
            "64999.90",
            "65000.10",
            "4",
        )
        await paper.step(200)
        assert (await ticker(client))["markPrice"] == "65010.00"
        assert (await ticker(client, "spot", "ETHUSDT"))["lastPrice"] != "3100.5"
        await paper.step(5000)
        assert (await ticker(client))["markPrice"] == "65010.00"
        assert (await ticker(client, "spot", "ETHUSDT"))["lastPrice"] == "3100.5"


async def test_what_the_file_does_not_show_goes_on_from_its_price_of_the_coin(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with PaperServer(clock="manual", replay=recorded(tmp_path)) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        await paper.step(1000)
        row = await ticker(client, "inverse", "BTCUSD")
        assert abs(float(row["markPrice"]) / 65000 - 1) < 0.01


async def test_speed_plays_faster_and_a_pause_stops_it(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with PaperServer(clock="manual", replay=recorded(tmp_path), speed=10) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        await client.control("POST", "pause")
        await paper.step(1000)
        assert (await ticker(client))["markPrice"] != "65010.00"
        await client.control("POST", "resume")
        await paper.step(100)
        assert (await ticker(client))["markPrice"] == "65010.00"


async def test_subscribers_hear_it(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with PaperServer(clock="manual", replay=recorded(tmp_path)) as paper:
        client = Client(http, paper, paper.add_account("alice"))
        stream = await client.stream("tickers.BTCUSDT", account=False)
        await paper.step(100)
        await paper.step(300)
        while (frame := await stream.pushed("tickers.BTCUSDT"))["data"]["markPrice"] != "65010.00":
            pass
        assert frame["type"] == "delta"


async def test_a_trade_fills_at_the_recorded_price(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with PaperServer(clock="manual", replay=recorded(tmp_path)) as paper:
        account = paper.add_account("alice")
        await paper.step(100)
        made = paper.trade(account, "BTCUSDT", "Buy", "0.001")
        assert made["executions"][0]["execPrice"] == "65000.10"


def test_a_bad_line_stops_the_start_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text(line(0, markPrice="65000.00") + "\nnot a frame\n")
    parser = argparse.ArgumentParser()
    add_paper_arguments(parser)
    with pytest.raises(OptionError, match=r"frames.jsonl line 2: not JSON"):
        PaperOptions.of(parser.parse_args(["--replay", str(path)]), {})
