"""Many batches, some at a time, and what they came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
from positiond.daemon.domain.errors import PositiondError

from tests.chaos.batch import Outcome, play
from tests.chaos.journal import RunRecord
from tests.chaos.markets import FRACTIONS_OFFERED, OFFERED
from tests.chaos.plan import plan_batch
from tests.chaos.stage import databases
from tests.fixtures_store import PostgresServer

# What ends a batch, and not the campaign: also an answer that did not come in time.
_BROKEN_OFF = (AssertionError, PositiondError, ExceptionGroup, OSError, aiohttp.ClientError)


@dataclass(frozen=True, slots=True)
class Order:
    """So many runs from this seed; the batches take the seeds that follow."""

    runs: int
    seed: int
    batch: int
    lanes: int
    seconds: float | None
    markets: tuple[str, ...]
    fractions: bool
    journal: Path


@dataclass(slots=True)
class Tally:
    runs: int = 0
    kills: int = 0
    asks: int = 0
    trades: int = 0
    orders: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    markets: Counter[str] = field(default_factory=Counter)
    terms: Counter[str] = field(default_factory=Counter)
    violations: int = 0

    def add(self, outcome: Outcome) -> None:
        self.kills += outcome.kills
        self.violations += len(outcome.violations)
        for record in outcome.records:
            self.runs += 1
            self.markets[record.plan.market] += 1
            self.asks += len(record.answers)
            self.trades += len(record.plan.trades)
            orders = [row for close in record.closes.values() for row in close["orders"]]
            self.orders += len({row["order_link_id"] for row in orders})
            self.terms.update(_terms(record))
            self.faults.update(record.fired)
            for close in record.closes.values():
                self.closes[f"{close['state']} {close['code'] or ''}".strip()] += 1


class Campaign:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._tally = Tally()
        self._began = time.monotonic()
        self._failed: list[int] = []

    async def run(self) -> int:
        """0 where nothing was violated."""
        order = self._order
        sizes = [
            min(order.batch, order.runs - begun) for begun in range(0, order.runs, order.batch)
        ]
        waiting = list(enumerate(sizes, start=order.seed))
        print(
            f"{order.runs} runs, seed {order.seed} (the plan is the seed's, who comes first is not)"
        )
        async with databases() as postgres, asyncio.TaskGroup() as group:
            for lane in range(min(order.lanes, len(waiting))):
                group.create_task(self._lane(postgres, waiting, 8.0 * lane))
        self._print()
        return 1 if self._tally.violations or self._failed else 0

    async def _lane(
        self, postgres: PostgresServer, waiting: list[tuple[int, int]], after: float
    ) -> None:
        # One batch acts while another waits for its proofs.
        await asyncio.sleep(after)
        while waiting and not self._is_late():
            seed, size = waiting.pop(0)
            plan = plan_batch(seed, size, self._order.markets, fractions=self._order.fractions)
            try:
                outcome = await play(postgres, plan)
            except _BROKEN_OFF as error:
                self._failed.append(seed)
                print(f"batch {seed} broke off: {error!r}; {self._again(seed, size)}", flush=True)
                continue
            self._tally.add(outcome)
            self._tell(outcome)

    def _again(self, seed: int, size: int) -> str:
        """The command that plays the batch again."""
        order, words = self._order, [f"--batch {size}"]
        if order.markets != OFFERED:
            words.append(f"--markets {' '.join(order.markets)}")
        if order.fractions != FRACTIONS_OFFERED:
            words.append("--fractions" if order.fractions else "--no-fractions")
        return f"make chaos N={size} SEED={seed} ARGS='{' '.join(words)}'"

    def _is_late(self) -> bool:
        limit = self._order.seconds
        return limit is not None and time.monotonic() - self._began > limit

    def _tell(self, outcome: Outcome) -> None:
        seed, size = outcome.plan.seed, len(outcome.records)
        said = f"{len(outcome.violations)} violations" if outcome.violations else "good"
        print(
            f"batch {seed}: {size} runs, {outcome.kills} kills, {outcome.seconds:.0f} s, {said}",
            flush=True,
        )
        rules = Counter(violation.rule for _, violation in outcome.violations)
        for rule, count in rules.most_common():
            record, first = next(v for v in outcome.violations if v[1].rule == rule)
            print(f"  {count} x {rule}, as in run {record.plan.number}: {first.detail[:300]}")
        if outcome.violations:
            print(
                f"  again: {self._again(seed, size)}\n  journal: {self._journal(outcome)}",
                flush=True,
            )

    def _journal(self, outcome: Outcome) -> Path:
        """Everything that happened to the runs that failed, with the daemon's own log."""
        directory = self._order.journal / str(outcome.plan.seed)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "daemon.log").write_text("\n".join(outcome.daemon_log))
        for record in {id(record): record for record, _ in outcome.violations}.values():
            found = [v for one, v in outcome.violations if one is record]
            lines = [
                *(f"{violation}" for violation in found),
                f"uid {record.paper.uid} {record.plan}",
                *_sections(record.closes.values(), "close"),
                *_sections(record.books.get("orders", []), "order"),
                *_sections(record.books.get("executions", []), "execution"),
                *(f"{at} {text}" for at, text in record.lines),
            ]
            (directory / f"run-{record.plan.number}.txt").write_text("\n".join(lines) + "\n")
        return directory

    def _print(self) -> None:
        tally, seconds = self._tally, time.monotonic() - self._began
        rate = seconds / max(tally.runs, 1)
        print(f"\nruns        {tally.runs} ({_counted(tally.markets)}), {rate:.1f} s each")
        print(f"asked       {tally.asks} times; hand trades {tally.trades}; orders {tally.orders}")
        print(f"faults      {sum(tally.faults.values())}: {_counted(tally.faults)}")
        print(f"kill -9     {tally.kills}")
        print(f"closes      {sum(tally.closes.values())}: {_counted(tally.closes)}")
        print(f"among them  {_counted(tally.terms)}")
        print(f"broken off  {len(self._failed)}")
        print(f"violations  {tally.violations}", flush=True)


def _terms(record: RunRecord) -> Counter[str]:
    """What was special about the closes of a run."""
    told: Counter[str] = Counter()
    for close in record.closes.values():
        told["of a set"] += bool(close["set_id"])
        told["of a part"] += bool(close["fraction"])
        told["with slippage"] += bool(close["slippage"])
        told["with cancel_resting"] += close["cancel_resting"]
        sent = [row for row in close["orders"] if len(row["parts"]) > 1]
        told["with an order of several legs"] += bool(sent)
        told["netted without an order"] += any(
            Decimal(leg["filled"]) and leg["average_price"] and not close["orders"]
            for leg in close["legs"]
        )
    told["by a plan"] += len({a.close_id for a in record.answers if a.terms.by_plan})
    return told


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _sections(rows: Iterable[object], name: str) -> list[str]:
    return [f"{name} {row}" for row in rows]
