"""Twenty accounts with legs in every category, swept every few seconds, and a page that watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import aiohttp
import asyncpg
from positiond.daemon import sweeps
from positiond.store.store import Store

from tests.bench.population import Inhabitant, populate
from tests.e2e.exchange import control
from tests.e2e.live import Live, following
from tests.e2e.world import eventually, readiness, started

ACCOUNTS = 20
# A sweep asks each account's five lists.
LISTS = 5 * ACCOUNTS
MIDDLE = 30
SETTLES_WITHIN = 30
_SWEEP_EVERY = 4.0
_SETTLED = {True: "altered", False: "in_sync"}


@dataclass
class Crowd:
    """`altered` is the one position whose account holds less than was recorded."""

    url: str
    exchange_url: str
    database_url: str
    people: Sequence[Inhabitant]
    live: Live
    http: aiohttp.ClientSession
    altered: str = ""

    @property
    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        return self.live.page.positions

    @property
    def positions(self) -> list[str]:
        return [str(position) for one in self.people for position in one.positions]

    async def take_some_away(self) -> None:
        """Half of one leg is sold by hand: from then on its position, and no other, is Altered."""
        one = self.people[0]
        state = await control(self.exchange_url, "GET", "state", account=one.uid)
        row = next(p for p in state["positions"] if p["category"] == "inverse")
        half = Decimal(row["size"]) / 2
        await control(
            self.exchange_url,
            "POST",
            "trade",
            account=one.uid,
            category="inverse",
            symbol=row["symbol"],
            side="Sell",
            qty=format(half.to_integral_value(), "f"),
        )
        self.altered = str(one.positions[0])
        await self.live.until(self.is_settled, SETTLES_WITHIN, "what was taken away is flagged")

    def is_settled(self) -> bool:
        """Every position shows the verdict that is true of it."""
        return all(
            self.shown.get(p, {}).get("verdict") == _SETTLED[p == self.altered]
            for p in self.positions
        )

    async def settled(self) -> None:
        try:
            await self.live.until(self.is_settled, SETTLES_WITHIN, "all verdicts are true again")
        except AssertionError:
            odd = [
                (self.shown[p].get("verdict"), self.shown[p].get("verdict_reason"))
                for p in self.positions
                if self.shown[p].get("verdict") != _SETTLED[p == self.altered]
            ]
            raise AssertionError(f"{len(odd)} are not settled: {odd[:2]}") from None

    def doubted_since(self, frame: int, *words: str) -> set[str]:
        """Positions shown as unverified since that frame, for a reason with one of the words."""
        found = set()
        for one in self.live.frames[frame:]:
            for row in one.data.get("positions", []) + one.data.get("changes", []):
                if any(word in (row.get("verdict_reason") or "") for word in words):
                    assert self.shown[row["id"]]["id"] == row["id"]
                    found.add(row["id"])
        return found

    async def asked(self) -> int:
        """Requests that the exchange has seen."""
        told = (await control(self.exchange_url, "GET", "traffic"))["addresses"]
        return int(told["127.0.0.1"]["requests"]["total"])

    async def in_the_middle_of_a_sweep(self) -> None:
        """Returns when the exchange has been asked for some of the lists of a sweep, not all."""
        before = await self.asked()

        async def has_begun() -> bool:
            nonlocal before
            now = await self.asked()
            if now - before >= LISTS:
                before = now
            return MIDDLE <= now - before < LISTS - MIDDLE

        await eventually(has_begun, 3 * _SWEEP_EVERY, "a sweep is in its middle", every=0.02)

    def no_flag_moved(self, frame: int) -> None:
        """Whatever was shown since that frame, no flag was other than it is true."""
        for position in self.positions:
            told = {
                row["is_altered"]
                for one in self.live.frames[frame:]
                for row in one.data.get("positions", []) + one.data.get("changes", [])
                if row["id"] == position and "is_altered" in row
            }
            assert told <= {position == self.altered}, (position, told)

    async def stored_flags(self) -> set[str]:
        """The positions that are Altered on record."""
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = await connection.fetch("SELECT id FROM synthetic_positions WHERE is_altered")
        finally:
            await connection.close()
        return {str(row["id"]) for row in rows}


@contextmanager
def sweeping_often() -> Iterator[None]:
    """The sweep's clock strikes every few seconds, by the time of day as ever."""

    def soon(now: datetime, _minutes: int) -> datetime:
        return now + timedelta(seconds=_SWEEP_EVERY)

    with patch.object(sweeps, "next_sweep", soon):
        yield


@asynccontextmanager
async def a_crowd(
    environ: Mapping[str, str],
    store: Store,
    exchange_url: str,
    database_url: str,
    token_of: Callable[[Any], Any],
) -> AsyncIterator[Crowd]:
    """A running daemon that has found everybody in order, but for what was taken away."""
    user = await store.people.add_user("desk", "no password: tokens only")
    people = await populate(exchange_url, database_url, store, user, ACCOUNTS)
    headers = {"Authorization": f"Bearer {await token_of(user)}"}
    with sweeping_often():
        async with (
            started(environ) as url,
            aiohttp.ClientSession(base_url=url, headers=headers) as http,
        ):

            async def is_ready() -> bool:
                return (await readiness(url))[0] == 200

            await eventually(is_ready, 40, "the daemon is ready", every=0.2)
            async with following(http) as live:
                crowd = Crowd(url, exchange_url, database_url, people, live, http)
                await crowd.settled()
                await crowd.take_some_away()
                yield crowd
