"""The scenario table: the real daemon, the paper exchange, real sockets; one test for each row.

All rows are played at once, each on its own account, and only once for all test processes: the
first that needs the outcomes plays, the others wait for its file.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pickle
from pathlib import Path

import pytest

from tests.e2e.scenarios import (
    rows_changed,
    rows_ends,
    rows_quiet,
    rows_reads,
    rows_resolved,
    rows_shared,
    rows_spot,
)
from tests.e2e.scenarios.machine import Moment
from tests.e2e.scenarios.table import Outcome, Row, play
from tests.fixtures_store import PostgresServer

PARTS = (rows_changed, rows_ends, rows_quiet, rows_reads, rows_resolved, rows_shared, rows_spot)
ROWS = [row for part in PARTS for row in part.rows()]
NAMES = [row.name for row in ROWS]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
) -> dict[str, Outcome]:
    """What came of every row that this run has selected."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    selected = [row for row in ROWS if row.name in _selected(request.session)]
    with (shared / "scenarios.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _played(shared / "scenarios.pickle", selected, postgres_server)


def _selected(session: pytest.Session) -> set[str]:
    calls = (getattr(item, "callspec", None) for item in session.items)
    return {call.params["name"] for call in calls if call and "name" in call.params}


def _played(kept: Path, rows: list[Row], server: PostgresServer) -> dict[str, Outcome]:
    if not kept.exists():
        kept.write_bytes(pickle.dumps(asyncio.run(_play(rows, server))))
    found: dict[str, Outcome] = pickle.loads(kept.read_bytes())
    return found


async def _play(rows: list[Row], server: PostgresServer) -> dict[str, Outcome]:
    database = await server.create()
    try:
        return await play(rows, server.url(database))
    finally:
        await server.drop(database)


def test_the_table_has_at_least_sixty_rows_and_no_two_of_one_name() -> None:
    assert len(NAMES) >= 60
    assert len(set(NAMES)) == len(NAMES)


def test_what_the_machine_made_it_wait_is_not_counted_up_to_a_bound() -> None:
    start = Moment(10.0, waited=2.0)
    assert Moment(17.0, waited=2.0).since(start) == 7.0
    assert Moment(17.0, waited=3.5).since(start) == 5.5
    assert Moment(30.0, waited=20.0).since(start) == 15.0


@pytest.mark.parametrize("name", NAMES)
def test_row(name: str, outcomes: dict[str, Outcome]) -> None:
    """As the row's story tells it; flagged in time wherever a size changed."""
    outcome = outcomes[name]
    assert outcome.failure is None, outcome.failure
    print("flagged after", [round(seconds, 2) for seconds in outcome.flagged_after])
