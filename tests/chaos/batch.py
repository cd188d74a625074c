"""One batch from its plan to its verdicts."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.chaos.acting import Acting
from tests.chaos.journal import RunRecord, now_ms
from tests.chaos.judge import Violation, judge
from tests.chaos.plan import Ask, BatchPlan, Terms
from tests.chaos.stage import Daemon, Stage, a_stage
from tests.fixtures_store import PostgresServer

# Proofs of absence take half a minute, and an order that the venue keeps silent about a minute.
_ENDED_WITHIN = 150.0
_CALM_WITHIN = 60.0
_OPEN = "SELECT count(*) AS open FROM close_requests WHERE ended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A batch as it went."""

    plan: BatchPlan
    records: list[RunRecord]
    violations: list[tuple[RunRecord, Violation]]
    kills: int
    seconds: float
    daemon_log: list[str]


async def play(postgres: PostgresServer, plan: BatchPlan) -> Outcome:
    """Set the stage, let everything happen, wait until all of it has ended, and judge."""
    began = time.monotonic()
    async with a_stage(postgres, plan) as stage, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                aiohttp.ClientSession(
                    base_url=stage.daemon.url,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=aiohttp.ClientTimeout(total=10),
                )
            )
            for token in stage.tokens
        ]
        acting = Acting(stage, clients)
        await acting.perform()
        await _until_ended(stage, _ENDED_WITHIN)
        await _ask_again(stage, acting, clients[0])
        for record in stage.records:
            await _collect(stage, record, clients[0])
        found = [(record, violation) for record in stage.records for violation in judge(record)]
        return Outcome(
            plan,
            stage.records,
            found,
            stage.daemon.kills,
            time.monotonic() - began,
            _log(stage.daemon) if found else [],
        )


async def _ask_again(stage: Stage, acting: Acting, http: aiohttp.ClientSession) -> None:
    """What is still open is asked for once more, now that nothing goes wrong."""
    await stage.daemon.ready()
    async with asyncio.TaskGroup() as group:
        for record in stage.records:
            record.calm_from_ms = now_ms()
            left = []
            for number, position in enumerate(record.positions):
                shown = await _get(http, f"/api/positions/{position.id}")
                if shown["status"] == "ACTIVE":
                    left.append(number)
            alone = [(number,) for number in left]
            for wanted in [tuple(left)] if record.plan.ends_together and left else alone:
                ask = Ask(0, wanted, 0, None, terms=Terms(cancel_resting=True))
                group.create_task(acting.ask(record, ask, is_calm=True))
    await _until_ended(stage, _CALM_WITHIN)


async def _until_ended(stage: Stage, within: float) -> None:
    """Whatever has not ended by then is for the judge."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        (row,) = await stage.world.sql(_OPEN)
        if row["open"] == 0:
            return
        await asyncio.sleep(0.3)


async def _collect(stage: Stage, record: RunRecord, http: aiohttp.ClientSession) -> None:
    for close_id in record.close_ids:
        found = await _get(http, f"/api/closes/{close_id}")
        if found.get("close_id") == close_id:
            record.closes[close_id] = found
    for position in record.positions:
        record.shown[str(position.id)] = await _get(http, f"/api/positions/{position.id}")
    record.books = stage.paper.control("state", verb="GET", account=record.paper.uid)


async def _get(http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with http.get(path) as reply:
        return dict(await reply.json())


def _log(daemon: Daemon) -> list[str]:
    return daemon.last_words(40_000)
