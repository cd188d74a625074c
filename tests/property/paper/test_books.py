"""Whatever traders do, the books say what an independent slow model says, to the last digit."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.paper.flow import SYMBOLS, TRADERS, WHATS, Flow, Move, contracts, random_moves
from tests.searching import examples

MOVES = st.builds(
    Move,
    what=st.sampled_from(list(WHATS)),
    who=st.integers(0, len(TRADERS) - 1),
    symbol=st.integers(0, len(contracts()) - 1),
    buys=st.booleans(),
    size=st.floats(0, 1, width=32),
    away=st.floats(-1, 1, width=32),
)


@given(moves=st.lists(MOVES, min_size=5, max_size=40), seed=st.integers(0, 9))
@settings(
    max_examples=examples(60),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
def test_the_books_agree_with_a_slow_model_after_every_move(
    moves: Sequence[Move], seed: int
) -> None:
    Flow(seed).run(moves)


@pytest.mark.parametrize("seed", range(4))
def test_the_books_agree_with_a_slow_model_over_a_long_flow(seed: int) -> None:
    flow = Flow(seed)
    flow.run(random_moves(random.Random(seed), 250))
    assert sum(flow.played.values()) > 100, "most of it was refused"


def test_long_flows_come_by_everything_that_can_happen() -> None:
    seen: Counter[str] = Counter()
    for seed in range(10, 14):
        flow = Flow(seed)
        flow.run(random_moves(random.Random(seed), 400))
        seen += flow.seen
    happened = {what for what in seen if not what.startswith("refused")}
    assert happened >= {
        *(f"{category} Trade" for category in SYMBOLS),
        *(f"{category} MovePosition" for category in SYMBOLS if category != "spot"),
        *(f"{category} AdlTrade" for category in SYMBOLS if category != "spot"),
        *(f"{category} BustTrade" for category in SYMBOLS if category != "spot"),
        *("linear Funding", "inverse Funding", "linear SessionSettlePnL"),
        *("linear Delivery", "inverse Settle", "option Delivery"),
    }


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 140))
def test_the_books_agree_with_a_slow_model_over_very_long_flows(seed: int) -> None:
    Flow(seed).run(random_moves(random.Random(seed), 1000))
