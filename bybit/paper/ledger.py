"""Durable books: every change of a request in one SQLite transaction, on disk before the ack.

SQLite rather than a journal of our own: its write-ahead log drops a torn last write, needs no
compaction at start, and a commit with synchronous=FULL takes well under a millisecond.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import orjson

from .model import Record
from .records import from_json, to_json

FILE_NAME = "paper.sqlite3"
FORMAT = 2  # of the records; 1 knew linear one-way contracts alone
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prices (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
"""

Changes = Iterable[tuple[tuple[str, str], Record]]
Prices = dict[str, list[str]]


class BooksUnavailable(OSError):
    """The books cannot be opened, most likely because another exchange holds them."""


class Ledger(Protocol):
    """Where the books are kept."""

    def load(self) -> Iterator[Record]: ...
    def store(self, changes: Changes) -> None: ...
    def load_prices(self) -> tuple[int, Prices] | None: ...
    def store_prices(self, ticks: int, prices: Prices) -> None: ...
    def close(self) -> None: ...


class MemoryLedger:
    """Keeps nothing beyond the process."""

    def load(self) -> Iterator[Record]:
        return iter(())

    def store(self, changes: Changes) -> None:
        del changes

    def load_prices(self) -> tuple[int, Prices] | None:
        return None

    def store_prices(self, ticks: int, prices: Prices) -> None:
        del ticks, prices

    def close(self) -> None:
        return


class SqliteLedger:
    """One file in the data directory, readable by its owner alone: it holds the paper keys."""

    def __init__(self, directory: Path, *, fresh: bool = False) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE_NAME
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            # Two exchanges on one file would overwrite each other's books.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
            if fresh:
                # Emptied rather than unlinked: another exchange may still hold the file.
                self._db.executescript("DELETE FROM records; DELETE FROM prices;")
            self._check_format(directory)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise BooksUnavailable(f"the books in {directory} cannot be opened: {error}") from error

    def _check_format(self, directory: Path) -> None:
        (known,) = self._db.execute("PRAGMA user_version").fetchone()
        (empty,) = self._db.execute("SELECT NOT EXISTS (SELECT 1 FROM records)").fetchone()
        if known != FORMAT and not empty:
            self._db.close()
            raise BooksUnavailable(
                f"the books in {directory} are of format {known or 1}, this exchange reads"
                f" {FORMAT}: start anew with --fresh, or choose another directory"
            )
        self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def load(self) -> Iterator[Record]:
        for kind, body in self._db.execute("SELECT kind, body FROM records"):
            yield from_json(kind, body)

    def store(self, changes: Changes) -> None:
        rows = [(kind, key, to_json(record)) for (kind, key), record in changes]
        if not rows:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def load_prices(self) -> tuple[int, Prices] | None:
        row = self._db.execute("SELECT body FROM prices").fetchone()
        if row is None:
            return None
        saved = orjson.loads(row[0])
        return saved["ticks"], saved["prices"]

    def store_prices(self, ticks: int, prices: Prices) -> None:
        body = orjson.dumps({"ticks": ticks, "prices": prices})
        self._db.execute("INSERT OR REPLACE INTO prices VALUES (1, ?)", (body,))

    def close(self) -> None:
        self._db.close()
