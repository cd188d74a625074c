"""Exchange, database and the daemon as a process that can be killed at any moment."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from positiond.bybit.paper.admission import LinkRule
from positiond.bybit.paper.server import PaperServer
from positiond.daemon.domain.model import (
    Account,
    BucketKey,
    Category,
    NewComponent,
    NewPosition,
    Position,
    Side,
)
from positiond.daemon.domain.people import User
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate

from tests.chaos.journal import RunRecord, now_ms
from tests.chaos.markets import MARKETS
from tests.chaos.plan import BatchPlan, Holding, RunPlan
from tests.e2e.processes import Process, serving
from tests.e2e.world import World, a_world
from tests.fixtures_store import PostgresServer

_PRICE = Decimal("1e-10")
CLIENTS = 2


class Daemon:
    """The daemon through all its lives, at one address."""

    def __init__(self, world: World, log: Path) -> None:
        self._world = world
        self._log = log
        self._life = AsyncExitStack()
        self._process: Process | None = None
        self.url = f"http://127.0.0.1:{world.environ['POSITIOND_HTTP_PORT']}"
        self.kills = 0

    async def start(self) -> None:
        try:
            self._process = await self._life.enter_async_context(
                serving(self._world.environ, self._log)
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.last_words(3)}") from error

    async def ready(self) -> None:
        assert self._process is not None
        try:
            await self._process.ready(within=60)
        except AssertionError as error:
            status, reasons = await self._process.readiness()
            raise AssertionError(f"{error}: {status} {reasons}") from error

    async def kill(self) -> None:
        """SIGKILL, and it is dead."""
        await self._life.aclose()
        self.kills += 1

    async def close(self) -> None:
        await self._life.aclose()

    def last_words(self, count: int) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()[-count:]


@dataclass
class Stage:
    """A batch's world, before the first thing happens."""

    plan: BatchPlan
    world: World
    daemon: Daemon
    tokens: tuple[str, ...]
    records: list[RunRecord]

    @property
    def paper(self) -> PaperServer:
        return self.world.paper


@asynccontextmanager
async def databases() -> AsyncIterator[PostgresServer]:
    """One server for all batches; it outlives every kill, so it need not sync to disk."""
    directory = Path(tempfile.mkdtemp(prefix="positiond-chaos-"))
    server = EmbeddedPostgres(directory)
    try:
        await asyncio.to_thread(server.initialise)
        cluster = directory / "postgres" / "cluster"
        with (cluster / "pg_hba.conf").open("a") as access:
            access.write("local all postgres trust\n")
        (cluster / "postgresql.auto.conf").write_text(
            "fsync = off\nfull_page_writes = off\nmax_connections = 300\n"
        )
        await asyncio.to_thread(server.start)
        await migrate(server.url)
        yield PostgresServer(server.url)
    finally:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.remove)
        shutil.rmtree(directory)


@asynccontextmanager
async def a_stage(postgres: PostgresServer, plan: BatchPlan) -> AsyncIterator[Stage]:
    """Every account holds what its plan says, all of it is recorded, the daemon is ready."""
    async with AsyncExitStack() as stack:
        name = await postgres.create()
        stack.push_async_callback(postgres.drop, name)
        data = Path(tempfile.mkdtemp(prefix="positiond-chaos-"))
        stack.callback(shutil.rmtree, data)
        paper = await stack.enter_async_context(
            PaperServer(seed=plan.seed, link_rule=LinkRule(plan.link_rule))
        )
        world = await stack.enter_async_context(a_world(postgres.url(name), data, paper))
        world.environ["POSITIOND_HTTP_PORT"] = str(_free_port())
        user = await world.user("trader")
        tokens = [await world.token(user) for _ in range(CLIENTS)]
        records = [await _cast(world, user, run) for run in plan.runs]
        # Prices that stand still cost nothing, and no rule of closing asks for them to move.
        paper.control("pause")
        daemon = Daemon(world, data / "daemon.log")
        stack.push_async_callback(daemon.close)
        await daemon.start()
        await daemon.ready()
        for record in records:
            record.start_ms = now_ms()
        yield Stage(plan, world, daemon, tuple(tokens), records)


async def _cast(world: World, user: User, run: RunPlan) -> RunRecord:
    """The account of a run; what it holds was bought by hand, the trader's own part first."""
    market = MARKETS[run.market]
    account, paper = await world.trader(user, f"run {run.number}", balances=dict(market.balances))
    if run.hedged:
        world.paper.control("mode", account=paper.uid, coin="USDT", mode="hedge")
    record = RunRecord(run, account, paper, [])
    unassigned: dict[BucketKey, Decimal] = {}
    for holding in run.own:
        _bought(record, world, holding)
        bucket = _bucket(account, run, holding)
        unassigned[bucket] = unassigned.get(bucket, Decimal(0)) + holding.signed
    for number, legs in enumerate(run.positions):
        parts = [_component(holding, _bought(record, world, holding)) for holding in legs]
        new = NewPosition(account.id, f"position {number}", None, tuple(parts))
        touched = {_bucket(account, run, holding) for holding in legs}
        # The surplus of a wallet is the trader's without being recorded.
        own = {
            bucket: held
            for bucket, held in unassigned.items()
            if bucket in touched and bucket.category is not Category.SPOT
        }
        record.positions.append(await _recorded(world, new, own))
    return record


async def _recorded(world: World, new: NewPosition, own: dict[BucketKey, Decimal]) -> Position:
    position, _ = await world.store.positions.record(new, own)
    return position


def _bought(record: RunRecord, world: World, holding: Holding) -> Decimal:
    done = world.paper.control(
        "trade",
        account=record.paper.uid,
        category=MARKETS[holding.market].category,
        symbol=holding.symbol,
        side=holding.side,
        qty=str(holding.quantity),
        position_idx=record.plan.idx(holding.side),
    )
    order = done["order"]
    assert Decimal(order["cumExecQty"]) == holding.quantity, order
    record.by_hand(done, MARKETS[holding.market].category)
    return Decimal(order["avgPrice"])


def _component(holding: Holding, price: Decimal) -> NewComponent:
    return NewComponent(
        Category(MARKETS[holding.market].category),
        holding.symbol,
        Side(holding.side),
        holding.quantity,
        price.quantize(_PRICE, ROUND_HALF_EVEN).normalize(),
    )


def _bucket(account: Account, run: RunPlan, holding: Holding) -> BucketKey:
    category = Category(MARKETS[holding.market].category)
    return BucketKey(account.id, category, holding.symbol, run.idx(holding.side))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
