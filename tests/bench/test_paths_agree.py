"""What the benchmark of the tick path compares is the same work; no times here."""

from __future__ import annotations

import pytest

from tests.bench.corpus import Corpus, make_corpus
from tests.bench.tick_path import agree, measure
from tests.bench.valuations import OrjsonNaive, Ours, PybitNaive, Valuing


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return make_corpus(symbols=20, positions=40, deltas=500)


def test_all_paths_end_at_the_same_pnl_of_every_position(corpus: Corpus) -> None:
    paths: dict[str, Valuing] = {
        "ours": Ours(corpus, flush_every=50),
        "orjson": OrjsonNaive(corpus),
        "pybit": PybitNaive(corpus),
    }
    measure(corpus, paths)
    agree(corpus, list(paths.values()))


def test_a_path_that_missed_a_frame_does_not_agree(corpus: Corpus) -> None:
    whole, short = OrjsonNaive(corpus), OrjsonNaive(corpus)
    btc = [f for f in corpus.frames if "tickers.BTCUSDT" in f and "markPrice" in f]
    for frame in corpus.frames:
        whole.take(frame)
        if frame is not btc[-1]:
            short.take(frame)
    with pytest.raises(AssertionError):
        agree(corpus, [whole, short])


def test_the_corpus_has_the_sizes_and_shares_it_is_said_to_have() -> None:
    corpus = make_corpus()
    deltas = corpus.frames[len(corpus.symbols) :]
    majors = sum("BTCUSDT" in frame or "ETHUSDT" in frame for frame in deltas)
    assert 225 < sum(map(len, deltas)) / len(deltas) < 255
    assert 0.60 < sum("markPrice" in frame for frame in deltas) / len(deltas) < 0.67
    assert 0.27 < majors / len(deltas) < 0.33
    assert {len(position.components) for position in corpus.positions} == {2, 3, 4}
