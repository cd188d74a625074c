"""From a ticker frame to P&L in process: our path and its peers over the same frames."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from tests.bench.corpus import Corpus, make_corpus
from tests.bench.table import Row, Table, quantile
from tests.bench.valuations import Naive, OrjsonAlone, OrjsonNaive, Ours, PybitNaive, Valuing

_CHUNK = 250
# At 2,000 ticks/s, ten times a second.
_FLUSH_EVERY = 200
_OURS = "positiond"
_FLUSHED = "positiond, changed positions summed 10 times/s"
_SUMMED = "positiond, changed positions summed on every frame"
_PEER = "orjson + naive Decimal"


async def run() -> Table:
    corpus = make_corpus()
    paths: dict[str, Valuing] = {
        _OURS: Ours(corpus),
        _FLUSHED: Ours(corpus, _FLUSH_EVERY),
        _SUMMED: Ours(corpus, flush_every=1),
        _PEER: OrjsonNaive(corpus),
        "pybit + naive Decimal": PybitNaive(corpus),
        "orjson alone": OrjsonAlone(),
    }
    costs = measure(corpus, paths)
    agree(corpus, [path for path in paths.values() if not isinstance(path, OrjsonAlone)])
    # Of medians: a neighbour on the machine slows down whoever runs just then.
    typical = {name: quantile(cost, 0.5) for name, cost in costs.items()}
    legs = sum(len(position.components) for position in corpus.positions)
    rows = [
        Row(
            name,
            (f"{typical[name]:.1f}", f"{max(cost):.1f}"),
            None if name == _PEER else _PEER,
            None if name == _PEER else typical[name] / typical[_PEER],
        )
        for name, cost in costs.items()
    ]
    return Table(
        f"tick path: {len(corpus.frames)} frames of {corpus.mean_bytes:.0f} bytes, "
        f"{len(corpus.symbols)} symbols, {len(corpus.positions)} positions, {legs} legs",
        ("CPU us/frame p50", "worst"),
        tuple(rows),
        (
            f"p50 and worst of interleaved chunks of {_CHUNK} frames; "
            "at the end every position's P&L is the same to the last digit on all paths.",
            "positiond revalues legs on a tick and sums positions when they are read; "
            "the naive paths sum every position that holds the symbol on every tick.",
        ),
    )


def measure(corpus: Corpus, paths: Mapping[str, Valuing]) -> dict[str, list[float]]:
    """Microseconds of CPU per frame of each path, chunk by chunk; who goes first changes."""
    rng = random.Random(1)
    costs: dict[str, list[float]] = {name: [] for name in paths}
    first = len(corpus.symbols)
    for frame in corpus.frames[:first]:
        for path in paths.values():
            path.take(frame)
    for start in range(first, len(corpus.frames), _CHUNK):
        chunk = corpus.frames[start : start + _CHUNK]
        for name in rng.sample(list(paths), len(paths)):
            take = paths[name].take
            began = time.process_time()
            for frame in chunk:
                take(frame)
            costs[name].append((time.process_time() - began) / len(chunk) * 1e6)
    return costs


def agree(corpus: Corpus, paths: list[Valuing]) -> None:
    """Every path knows every position's P&L, and it is the same."""
    expected = Naive(corpus).totals().keys()
    reference = paths[0].totals()
    assert reference.keys() == expected
    assert None not in reference.values()
    for path in paths[1:]:
        assert path.totals() == reference, type(path).__name__
