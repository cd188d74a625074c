"""Books on disk: whole records come back, torn writes do not, files are the owner's."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest
from positiond.bybit.paper.books import Books, key_of
from positiond.bybit.paper.ledger import FILE_NAME, BooksUnavailable, SqliteLedger
from positiond.bybit.paper.model import Counters, Uid, Wallet
from positiond.bybit.paper.records import from_json, to_json
from positiond.bybit.vocab import Category

from .floor import ALICE, Floor


def busy_floor() -> Floor:
    floor = Floor()
    floor.order(qty="0.5", orderLinkId="one")
    floor.order(side="Sell", qty="0.2", reduceOnly=True)
    floor.order(orderType="Limit", side="Buy", price="100500.00")
    return floor


def test_every_record_survives_json() -> None:
    changes = busy_floor().books.drain()
    assert {kind for (kind, _), _ in changes} == {
        "account",
        "wallet",
        "position",
        "order",
        "execution",
        "closed_pnl",
        "entry",
        "counters",
    }
    for (kind, _), record in changes:
        assert from_json(kind, to_json(record)) == record


def test_stored_books_come_back_as_they_were(tmp_path: Path) -> None:
    books = busy_floor().books
    ledger = SqliteLedger(tmp_path)
    ledger.store(books.drain())
    ledger.store_prices(12, {"linear:BTCUSDT": ["1.5", "2.5"]})
    ledger.close()
    revived, ledger = Books(), SqliteLedger(tmp_path)
    revived.load(ledger.load())
    assert ledger.load_prices() == (12, {"linear:BTCUSDT": ["1.5", "2.5"]})
    ledger.close()
    assert revived.orders == books.orders
    assert revived.open_orders == books.open_orders
    assert revived.positions == books.positions
    assert revived.wallets == books.wallets
    assert revived.executions[ALICE] == books.executions[ALICE]
    assert revived.counters == books.counters
    assert [o.serial for o in revived.orders_of(ALICE)] == [3, 2, 1]
    assert revived.linked(ALICE, Category.LINEAR, "one") == books.linked(
        ALICE, Category.LINEAR, "one"
    )
    assert not revived.drain()


def test_the_ring_of_closed_orders_is_empty_after_a_restart(tmp_path: Path) -> None:
    books = busy_floor().books
    assert len(books.recently_closed(ALICE, Category.LINEAR)) == 2
    ledger = SqliteLedger(tmp_path)
    ledger.store(books.drain())
    revived = Books()
    revived.load(ledger.load())
    ledger.close()
    assert revived.recently_closed(ALICE, Category.LINEAR) == []


def test_a_failed_store_leaves_nothing_of_its_transaction(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    good = Counters(order=1)
    bad = replace(good, order=object())  # type: ignore[arg-type]  # cannot become JSON
    with pytest.raises(TypeError):
        ledger.store([(key_of(good), good), (("counters", "x"), bad)])
    assert list(ledger.load()) == []
    ledger.store([(key_of(good), good)])
    assert list(ledger.load()) == [good]
    ledger.close()


def test_fresh_forgets_and_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    ledger.store([(key_of(Counters(order=1)), Counters(order=1))])
    ledger.close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    ledger = SqliteLedger(tmp_path, fresh=True)
    assert list(ledger.load()) == []
    ledger.close()


def test_amounts_are_stored_as_plain_decimals() -> None:
    floor = busy_floor()
    body = to_json(replace(floor.books.wallet(ALICE, "USDT"), balance=D("1E+3")))
    assert b'"balance":"1000"' in body


def test_books_that_are_held_or_broken_are_refused(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    ledger.store([(key_of(Counters(order=1)), Counters(order=1))])
    for fresh in (False, True):
        with pytest.raises(BooksUnavailable, match="locked"):
            SqliteLedger(tmp_path, fresh=fresh)
    assert list(ledger.load()) == [Counters(order=1)]
    ledger.close()
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(BooksUnavailable, match="not a database"):
        SqliteLedger(tmp_path)


def test_books_of_an_older_format_are_refused_in_one_line(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    ledger.store([(("wallet", "1:USDT"), Wallet(Uid("1"), "USDT", D(1)))])
    ledger.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute("PRAGMA user_version = 0")
    with pytest.raises(BooksUnavailable, match="are of format 1, this exchange reads 2"):
        SqliteLedger(tmp_path)
    SqliteLedger(tmp_path, fresh=True).close()
    SqliteLedger(tmp_path).close()
