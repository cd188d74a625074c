"""Playing a close through the deaths of its process; run as a program it prints what came of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from positiond.daemon.config import LogConfig
from positiond.daemon.domain.orders import CloseRequest
from positiond.daemon.logs import configure

from .crash_stories import STORIES, CrashStage, Story
from .fake_time import in_fake_time, now
from .mortal import Life, mortality

# Seconds from sending to landing: at once, and so late that the next process is at work already.
WIRES = {"quick": 0.02, "slow": 4.0}


@dataclass(frozen=True)
class Played:
    """`found` are the rows' states that each life after the first began with.

    `steps` are those of the last life, `seconds` how long it took from its start.
    """

    found: tuple[str, ...]
    end: str
    orders: int
    sendings: int
    steps: int
    seconds: float


def play(story: Story, latency: float = WIRES["quick"], deaths: Sequence[int] = ()) -> Played:
    """Close through as many lives as end at the steps given, and one more; checks the end."""
    played: list[Played] = []

    @in_fake_time
    async def scenario() -> None:
        with mortality():
            played.append(await _play(story, latency, deaths))

    scenario()
    return played[0]


async def _play(story: Story, latency: float, deaths: Sequence[int]) -> Played:
    stage = story.stage(latency)
    requests = story.set_up(stage)
    found: list[str] = []
    for dies_at in (*deaths, None):
        life, began = Life(dies_at), now()
        if await life.live(_drive(stage, requests)):
            break
        found.append(_states(stage, requests))
        stage.restart()
    seconds = (now() - began).total_seconds()
    # What a dead process had put on the wire may still land: by then it must change nothing.
    await asyncio.sleep(60)
    story.check(stage, requests)
    states = sorted({stage.ledger.requests[r.id].state.value for r in requests})
    venue = stage.venue
    return Played(
        tuple(found), "+".join(states), len(venue.arrived), len(venue.sent), life.steps, seconds
    )


async def _drive(stage: CrashStage, requests: Sequence[CloseRequest]) -> None:
    """What a starting daemon does with the requests it finds open."""
    stored = [stage.ledger.requests[request.id] for request in requests]
    if still_open := [request for request in stored if request.state.is_open]:
        await stage.drive(*still_open)


def _states(stage: CrashStage, requests: Sequence[CloseRequest]) -> str:
    """Of the requests, and of the orders that are not at their end."""
    states = {stage.ledger.requests[request.id].state.value for request in requests}
    orders = {row.state.value for row in stage.ledger.rows.values() if not row.state.is_settled}
    return " ".join(["+".join(sorted(states)), *sorted(orders)])


def by_state(played: Iterable[Played]) -> str:
    """A line per state that a process was killed in."""
    return _table("killed in", ((one.found[0], one) for one in played))


def by_story(played: Iterable[tuple[str, Played]]) -> str:
    """A line per story."""
    return _table("story", played)


def _table(title: str, played: Iterable[tuple[str, Played]]) -> str:
    rows: dict[str, list[Played]] = defaultdict(list)
    for name, one in played:
        rows[name].append(one)
    lines = [_line(title, "kills", "ends", "orders arrived", "sendings", "seconds, at most")]
    for name, ones in rows.items():
        lines.append(
            _line(
                name,
                str(len(ones)),
                ", ".join(sorted({one.end for one in ones})),
                _span(one.orders for one in ones),
                _span(one.sendings for one in ones),
                f"{max(one.seconds for one in ones):.1f}",
            )
        )
    return "\n".join(lines)


def _span(counts: Iterable[int]) -> str:
    known = sorted(set(counts))
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _line(name: str, *cells: str) -> str:
    return "  ".join([name.ljust(38), *(cell.rjust(14) for cell in cells)])


def main() -> None:
    """Print both tables: every story killed at each of its steps, by a quick wire and a slow."""
    configure(LogConfig(level="error", format="console"))
    played = [
        (f"{name}, {wire} wire", play(story, latency, (step,)))
        for name, story in STORIES.items()
        for wire, latency in WIRES.items()
        for step in range(1, play(story, latency).steps + 1)
    ]
    print(by_story(played))
    print()
    print(by_state(sorted((one for _, one in played), key=lambda one: one.found)))
    print(f"{len(played)} kills, each ended as if there had been none")


if __name__ == "__main__":
    main()
