"""kill -9 in every state that a close or an order of its is stored in.

The database itself holds the daemon there: a trigger makes whoever wants to lead a row out of the
state wait for a lock that the test has. What the kill finds is the state, committed and left.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import books, fault
from tests.e2e.processes import serving
from tests.e2e.test_closing import CREATE
from tests.e2e.test_kill import speaking
from tests.e2e.world import World, eventually

_LOCK = 7301
_ENDS_WITHIN = 90
_WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"

REQUESTS = ["ACCEPTED", "WAITING", "PREFLIGHT", "SENDING", "SETTLING", "VERIFYING"]
ORDERS = ["PLANNED", "ACKED", "UNKNOWN"]
PLACES = [
    *(("close_requests", state) for state in REQUESTS),
    *(("close_orders", state) for state in ORDERS),
]
# One in the middle of everything runs always; those whose orders have to be proven absent, and
# the others by the same way, take their time.
_QUICK = ("close_requests", "SETTLING")
_MARKED = [
    pytest.param(*place, marks=[] if place == _QUICK else pytest.mark.thorough) for place in PLACES
]


class Trap:
    """Holds whoever leads a row of the table out of the state, until it is opened."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def set(self, table: str, state: str) -> None:
        await self._connection.execute(
            f"""
            CREATE FUNCTION be_held() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock_shared({_LOCK});
                RETURN NEW;
            END $$;
            CREATE TRIGGER held BEFORE UPDATE ON {table} FOR EACH ROW
            WHEN (OLD.state = '{state}') EXECUTE FUNCTION be_held();
            """
        )
        await self._connection.execute("SELECT pg_advisory_lock($1)", _LOCK)

    async def caught(self) -> bool:
        return bool(await self._connection.fetch(_WAITING, _LOCK))

    async def open(self) -> None:
        """After the kill: what the dead process still had under way in the database ends, too."""
        for (pid,) in await self._connection.fetch(_WAITING, _LOCK):
            await self._connection.execute("SELECT pg_terminate_backend($1)", pid)
        await eventually(self._is_empty, 10, "nothing of the dead process is left")
        await self._connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)

    async def _is_empty(self) -> bool:
        return not await self.caught()


@asynccontextmanager
async def a_trap(world: World) -> AsyncIterator[Trap]:
    connection = await asyncpg.connect(world.database_url)
    try:
        yield Trap(connection)
    finally:
        await connection.close()


@pytest.fixture
def log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="positiond-states-") as directory:
        yield Path(directory) / "daemon.log"


@pytest.mark.parametrize(("table", "state"), _MARKED)
async def test_a_daemon_killed_in_a_stored_state_is_followed_by_one_that_ends_the_close(
    world: World, paper: PaperServer, log: Path, table: str, state: str
) -> None:
    user = await world.user("alice")
    account, held = await world.trader(user, "main")
    token = await world.token(user)
    if state == "UNKNOWN":
        await fault(paper.url, "http", where=CREATE, when="after", status=504, count=2)
    async with a_trap(world) as trap:
        async with serving(world.environ, log) as first:
            await first.ready()
            async with speaking(first, user, token, account, held) as trader:
                paper.trade(held, "BTCUSDT", "Buy", "0.3")
                position = await trader.record(
                    "pair",
                    world.holds(held, "BTCUSDT", "Buy", "0.5"),
                    world.holds(held, "ETHUSDT", "Sell", "7"),
                )
                await trap.set(table, state)
                status, answer, _ = await trader.post(f"/api/positions/{position['id']}/close")
                assert status == 202, answer
                await eventually(trap.caught, 20, f"it is to leave {state}", every=0.01)
            await first.kill()
        rows = await world.sql(f"SELECT state FROM {table}")
        assert state in {row["state"] for row in rows}
        await trap.open()
    began = time.monotonic()
    async with serving(world.environ, log) as second:
        await second.ready()
        async with speaking(second, user, token, account, held) as trader:
            await trader.until(
                str(position["id"]), lambda p: p["status"] == "CLOSED", _ENDS_WITHIN, "CLOSED"
            )
            report = await trader.get(f"/api/closes/{answer['close_id']}")
    found = await books(paper.url, held)
    found.assert_each_leg_sold_once(position["components"])
    assert {symbol: str(size) for symbol, size in found.sizes.items()} == {"BTCUSDT": "0.3"}
    assert (report["state"], {leg["outcome"] for leg in report["legs"]}) == ("DONE", {"flat"})
    # For the closing note: run with -s.
    print(
        f"{table} {state}: {report['state']}, {len(found.orders)} orders for 2 legs, "
        f"{time.monotonic() - began:.1f} s after the start of the next process"
    )
