"""The command in a process that notes when each price reached the book, and where time goes.

`python -m tests.bench.probed serve` is `positiond serve`. When it ends it writes what it noted to
the file that BENCH_NOTES names, as one JSON object: `ticks`, pairs of the wall clock in seconds
and the lag behind the exchange's stamp in milliseconds; `stalls`, pairs of when the event loop came
late and by how many milliseconds; `stacks`, where the main thread was seen and how often, with
BENCH_SAMPLES set only, since sampling costs time itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import orjson
from positiond.daemon import app, cli
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.events import PriceTick

NOTES = "BENCH_NOTES"
SAMPLES = "BENCH_SAMPLES"
_LOOK_EVERY = 0.01
_SAMPLE_EVERY = 0.007
_DEEP = 14


class _Notes:
    def __init__(self) -> None:
        self.ticks: list[tuple[float, float]] = []
        self.stalls: list[tuple[float, float]] = []
        self.stacks: Counter[str] = Counter()

    async def serve(self, *arguments: Any, **named: Any) -> None:
        """Stands before the daemon's own, to share its event loop."""
        watch = asyncio.create_task(self._watch())
        try:
            await _SERVE(*arguments, **named)
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_LOOK_EVERY)
            late = time.perf_counter() - before - _LOOK_EVERY
            if late > _LOOK_EVERY:
                self.stalls.append((time.time(), late * 1000))

    def noting(self, tick: Callable[[Book, PriceTick], None]) -> Callable[[Book, PriceTick], None]:
        def noted(book: Book, price: PriceTick) -> None:
            tick(book, price)
            now = time.time()
            if not price.is_snapshot:
                self.ticks.append((now, (now - price.at.timestamp()) * 1000))

        return noted

    @contextmanager
    def sampling(self) -> Iterator[None]:
        main, over = threading.main_thread().ident, threading.Event()
        assert main is not None

        def sample() -> None:
            while not over.wait(_SAMPLE_EVERY):
                self.stacks[_told(sys._current_frames().get(main))] += 1

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


_SERVE = app.serve


def _told(frame: FrameType | None) -> str:
    names: list[str] = []
    while frame is not None and len(names) < _DEEP:
        names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(names)


def main() -> int:
    path = Path(os.environ[NOTES])
    notes = _Notes()
    with (
        patch.object(Book, "tick", notes.noting(Book.tick)),
        patch.object(app, "serve", notes.serve),
    ):
        if SAMPLES in os.environ:
            with notes.sampling():
                code = cli.main()
        else:
            code = cli.main()
    path.write_bytes(
        orjson.dumps(
            {
                "ticks": notes.ticks,
                "stalls": notes.stalls,
                "stacks": notes.stacks.most_common(400),
            }
        )
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
