"""Every example payload of the venue is read into a typed record."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from positiond.bybit import translate
from positiond.bybit import wire_account as account
from positiond.bybit import wire_market as market
from positiond.bybit import wire_stream as stream
from positiond.bybit.fields import Raw, mapping, mapping_or_empty, rows
from positiond.daemon.domain.model import Category, Environment

from . import sample_readers as samples

_ROOT = Path(__file__).resolve().parents[3]
SAMPLES = Path(os.environ.get("POSITIOND_BYBIT_SAMPLES", _ROOT.parent / "shared/bybit-samples"))
FILES = sorted(SAMPLES.glob("*/*.json"))

Reader = Callable[[Raw], object]


def result(message: Raw) -> Raw:
    assert message["retCode"] == 0
    return mapping(message["result"], "result")


def listed(read: Reader) -> Reader:
    def read_all(message: Raw) -> object:
        found = rows(result(message), "list")
        assert found
        return [read(row) for row in found]

    return read_all


def of_push(read: Reader) -> Reader:
    def read_all(message: Raw) -> object:
        push = stream.read_frame(message)
        assert isinstance(push, stream.Push)
        return [read(row) for row in stream.read_private_frame(push).rows]

    return read_all


def system_status(message: Raw) -> object:
    assert isinstance(stream.read_frame(message), stream.Push)
    return [samples.read_system_status(row) for row in rows(message, "data")]


# The longest matching beginning of a file's name decides.
READERS: dict[str, Reader] = {
    "rest/account-info": lambda m: samples.read_account_info(result(m)),
    "rest/apikey-info": lambda m: account.read_api_key(result(m)),
    "rest/batch-place-1": samples.read_batch_request,
    "rest/batch-place-2": lambda m: samples.read_batch(
        result(m), mapping_or_empty(m["retExtInfo"])
    ),
    "rest/cancel-order-1": samples.read_cancel_request,
    "rest/cancel-order-2": lambda m: account.read_order_ack(result(m)),
    "rest/close-pnl": listed(samples.read_closed_pnl),
    "rest/create-order": samples.read_order_request,
    "rest/create-order-9": lambda m: account.read_order_ack(result(m)),
    "rest/execution": listed(account.read_execution),
    "rest/instrument": listed(market.read_instrument),
    "rest/open-order": listed(account.read_order),
    "rest/order-list": listed(account.read_order),
    "rest/position": listed(account.read_position),
    "rest/tickers": listed(market.read_ticker),
    "rest/time": lambda m: market.read_server_time(result(m)),
    "rest/wallet-balance": listed(account.read_wallet),
    "ws/execution-1": samples.read_command,
    "ws/execution-2": of_push(account.read_execution),
    "ws/fast-execution-1": samples.read_command,
    "ws/fast-execution-2": of_push(samples.read_fast_execution),
    "ws/guideline-1": samples.read_command,
    "ws/guideline-2": stream.read_frame,
    "ws/guideline-3": samples.read_trade_request,
    "ws/guideline-4": stream.read_frame,
    "ws/guideline-5": samples.read_trade_request,
    "ws/guideline-6": stream.read_frame,
    "ws/guideline-7": stream.read_frame,
    "ws/order-1": samples.read_command,
    "ws/order-2": of_push(account.read_order),
    "ws/position-1": samples.read_command,
    "ws/position-2": of_push(account.read_position),
    "ws/system-status-1": samples.read_command,
    "ws/system-status-2": system_status,
    "ws/ticker": stream.read_ticker_frame,
    "ws/wallet-1": samples.read_command,
    "ws/wallet-2": of_push(account.read_wallet),
    "ws/wss-authentication": stream.read_frame,
    "ws/wss-authentication-1.": samples.read_command,
    "ws/wss-authentication-7": samples.read_command,
    "ws/wss-authentication-8": samples.read_command,
    "ws/wss-authentication-9": samples.read_command,
}


def reader_of(name: str) -> Reader:
    return READERS[max((begin for begin in READERS if name.startswith(begin)), key=len)]


def load(name: str) -> Raw:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the venue's samples are not here")
    return mapping(orjson.loads(path.read_bytes()), name)


def pushed(name: str) -> stream.Push:
    push = stream.read_frame(load(name))
    assert isinstance(push, stream.Push)
    return push


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the venue's samples are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_sample_is_read(path: Path) -> None:
    name = f"{path.parent.name}/{path.name}"
    assert reader_of(name)(load(name))


def test_rows_of_every_category_become_what_the_domain_knows() -> None:
    at = datetime(2025, 10, 9, 12, tzinfo=UTC)
    (wallet,) = stream.read_private_frame(pushed("ws/wallet-2.json")).rows
    (coin,) = account.read_wallet(wallet).coins
    held = translate.coin_holding(coin, at)
    assert (held.symbol, str(held.signed), held.locked) == ("BTC", "0.00102964", 0)
    (empty,) = rows(result(load("rest/wallet-balance-1.json")), "list")
    (coin,) = account.read_wallet(empty).coins
    assert translate.coin_holding(coin, at).side is None
    (row,) = stream.read_private_frame(pushed("ws/order-2.json")).rows
    order = translate.order_report(account.read_order(row))
    assert (order.category, order.status.is_terminal) == (Category.OPTION, True)
    (row,) = stream.read_private_frame(pushed("ws/position-2.json")).rows
    flat = translate.holding(account.read_position(row), at)
    assert (flat.position_idx, flat.side) == (2, None)
    (row,) = rows(result(load("rest/execution-1.json")), "list")
    fill = translate.fill(account.read_execution(row), Category.LINEAR)
    assert (fill.fee_coin, fill.create_type, fill.changes_size) == ("USDC", "", True)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the venue's samples are not here")
def test_every_ticker_sample_becomes_a_tick_with_an_index_where_it_has_one() -> None:
    names = [path.name for path in FILES if path.name.startswith("ticker-")]
    indices = {}
    for name in names:
        frame = stream.read_ticker_frame(load(f"ws/{name}"))
        tick = translate.price_tick(frame, Environment.PAPER, Category.LINEAR)
        indices[tick.key.symbol, tick.is_snapshot] = tick.index
    assert sum(index is not None for index in indices.values()) >= 3


def test_the_samples_say_what_they_say() -> None:
    (row,) = [
        account.read_position(row) for row in rows(result(load("rest/position-1.json")), "list")
    ]
    assert (row.symbol, row.side, str(row.size)) == ("BTCUSD", "Sell", "300")
    assert str(row.entry_price) == "27464.50441675"
    assert row.seq == 5723621632
    pong = stream.read_frame(load("ws/wss-authentication-3.json"))
    assert pong == stream.Pong()
    assert stream.read_frame(load("ws/wss-authentication-5.json")) == stream.Pong()
    ack = stream.read_frame(load("ws/wss-authentication-13.json"))
    assert ack == stream.TopicsReply(True, "", "", ())
    batch = stream.read_frame(load("ws/guideline-6.json"))
    assert isinstance(batch, stream.TradeReply)
    items = samples.read_batch(
        batch.data, mapping(load("ws/guideline-6.json")["retExtInfo"], "retExtInfo")
    )
    assert [item.code for item in items] == [10001, 10001, 10001]
