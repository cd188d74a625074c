"""The one test that waits for the real clock: the sweep at the next full five minutes."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.demo_run import demo
from tests.e2e.world import eventually

SLACK = 20.0
SWEPT = """
SELECT count(*) FILTER (WHERE pnl_at >= $1 AND unrealized_pnl IS NOT NULL) AS swept,
       count(*) AS open
FROM synthetic_positions WHERE status = 'ACTIVE'
"""


def next_five_minutes(now: datetime) -> datetime:
    start = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
    return start + timedelta(minutes=5)


@pytest.mark.long
@pytest.mark.timeout(420)
async def test_the_sweep_writes_the_pnl_of_every_position_at_the_next_five_minutes() -> None:
    with tempfile.TemporaryDirectory(prefix="positiond-demo-") as directory:
        async with demo(Path(directory)) as running:
            boundary = next_five_minutes(datetime.now(UTC))
            connection = await asyncpg.connect(running.facts["database_url"])

            async def all_swept() -> bool:
                row = await connection.fetchrow(SWEPT, boundary)
                return bool(row["open"] >= 6 and row["swept"] == row["open"])

            try:
                wait = (boundary - datetime.now(UTC)).total_seconds()
                await eventually(all_swept, wait + SLACK, f"the sweep of {boundary}", every=1)
            finally:
                await connection.close()
