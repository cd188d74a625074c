"""What the streams of a gateway share, and how one of them is held for ever."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from .oddities import Oddities
from .reconnect import Persistence, hold_for_ever
from .socket import StreamCut
from .turns import Doors


@dataclass(frozen=True, slots=True)
class StreamTools:
    """What every stream of a gateway shares."""

    oddities: Oddities
    doors: Doors
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    persistence: Persistence = field(default_factory=Persistence)
    jitter: random.Random = field(default_factory=random.Random)


async def hold_stream(
    url: str, hold: Callable[[], Awaitable[None]], tools: StreamTools, *, first: bool = False
) -> NoReturn:
    """Run `hold`, which makes one connection to `url`, again and again, paced by the doors.

    A `first` stream passes those of accounts, of which there may be hundreds in line.
    """

    async def admit() -> None:
        await tools.doors.enter(url, first=first)

    async def counted() -> None:
        try:
            await hold()
        except StreamCut as cut:
            if cut.never_arrived:
                # An outage must not use up what the way back will need.
                tools.doors.give_back(url)
            raise

    await hold_for_ever(
        counted,
        admit=admit,
        persistence=tools.persistence,
        monotonic=tools.monotonic,
        sleep=tools.sleep,
        jitter=tools.jitter,
    )
