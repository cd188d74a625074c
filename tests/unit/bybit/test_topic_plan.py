"""Topics find room on as few connections as needed, and stay where they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.bybit.session import MOST_CHARACTERS, length_of
from positiond.bybit.topic_plan import TopicPlan
from positiond.bybit.vocab import Category

FEW = st.frozensets(
    st.integers(0, 2000).map(lambda n: f"tickers.BTC-26DEC25-{n:05}-C-USDT"), max_size=400
)


def topics(number: int) -> frozenset[str]:
    return frozenset(f"tickers.BTC-26DEC25-{n:05}-C-USDT" for n in range(number))


def test_nothing_wanted_still_has_a_connection() -> None:
    assert TopicPlan(Category.LINEAR).spread(frozenset()) == [frozenset()]


def test_a_few_topics_share_one_connection() -> None:
    assert TopicPlan(Category.OPTION).spread(topics(300)) == [topics(300)]


def test_many_topics_take_as_many_connections_as_their_characters_need() -> None:
    lines = TopicPlan(Category.LINEAR).spread(topics(2500))
    assert frozenset().union(*lines) == topics(2500)
    assert sum(map(len, lines)) == 2500
    assert all(sum(map(length_of, line)) <= MOST_CHARACTERS for line in lines)
    assert len(lines) == -(-2500 * length_of(next(iter(topics(1)))) // MOST_CHARACTERS)


def test_options_have_a_number_of_topics_too() -> None:
    short = frozenset(f"t{n}" for n in range(4500))
    most = [len(line) for line in TopicPlan(Category.OPTION).spread(short)]
    assert max(most) <= 2000
    assert len(TopicPlan(Category.INVERSE).spread(short)) < len(most)


def test_room_that_became_free_is_used_again() -> None:
    plan = TopicPlan(Category.LINEAR)
    assert len(plan.spread(topics(1000))) == 2
    left = frozenset(sorted(topics(1000))[500:])
    more = left | frozenset(f"tickers.NEW{n}USDT" for n in range(300))
    assert len(plan.spread(more)) == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(FEW, max_size=6))
def test_a_topic_never_moves_while_it_is_wanted(steps: list[frozenset[str]]) -> None:
    plan, before = TopicPlan(Category.OPTION), [frozenset[str]()]
    for wanted in steps:
        after = plan.spread(wanted)
        assert frozenset().union(*after) == wanted
        for number, line in enumerate(before):
            assert line & wanted <= after[number]
        before = after
