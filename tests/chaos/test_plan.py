"""A plan is a function of its seed, and of nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.faults import FaultBoard

from tests.chaos.markets import MARKETS, OFFERED
from tests.chaos.plan import plan_batch
from tests.chaos.troubles import ACCOUNT_TROUBLES, COMPOUND_TROUBLES, VENUE_TROUBLES

SEEDS = st.integers(0, 10**9)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, runs=st.integers(1, 5))
def test_the_same_seed_is_the_same_plan(seed: int, runs: int) -> None:
    assert plan_batch(seed, runs) == plan_batch(seed, runs)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, runs=st.integers(1, 5))
def test_a_run_is_the_same_in_a_batch_of_any_size(seed: int, runs: int) -> None:
    assert plan_batch(seed, runs).runs == plan_batch(seed, runs + 3).runs[:runs]


def test_another_seed_is_another_plan() -> None:
    assert plan_batch(1, 3).runs != plan_batch(2, 3).runs


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_quantities_are_on_the_contracts_steps_and_worth_an_order(seed: int) -> None:
    for run in plan_batch(seed, 3).runs:
        contracts = {c.symbol: c for c in MARKETS[run.market].contracts}
        held = [*run.own, *(leg for legs in run.positions for leg in legs)]
        for holding in [*held, *(trade.what for trade in run.trades)]:
            contract = contracts[holding.symbol]
            assert holding.quantity % contract.step == 0
            assert holding.quantity >= contract.unit


def test_the_plans_reach_every_trouble_and_every_way_to_hold() -> None:
    batches = [plan_batch(seed, 20) for seed in range(40)]
    runs = [run for batch in batches for run in batch.runs]
    wanted = {*ACCOUNT_TROUBLES, *COMPOUND_TROUBLES}
    assert {trouble.name for run in runs for trouble in run.troubles} == wanted
    assert {trouble.name for batch in batches for trouble in batch.troubles} == set(VENUE_TROUBLES)
    assert {batch.link_rule for batch in batches} == {"day", "open"}
    assert {run.market for run in runs} == set(OFFERED)
    assert {run.hedged for run in runs} == {True, False}
    assert any(run.own for run in runs)
    assert any(run.rests for run in runs)
    assert {run.ends_together for run in runs} == {True, False}
    asks = [ask for run in runs for ask in run.asks]
    assert any(ask.cancel_after is not None for ask in asks)
    assert {len(ask.positions) for ask in asks} == {1, 2, 3, 4}
    assert {ask.terms.slippage for ask in asks} == {None, "0.5", "3"}
    assert {(ask.terms.cancel_resting, ask.terms.by_plan) for ask in asks} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }
    assert {kill.on_order for batch in batches for kill in batch.kills} == {True, False}
    assert {ask.client for run in runs for ask in run.asks} == {0, 1}


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_set_is_of_different_positions_and_wholly(seed: int) -> None:
    for run in plan_batch(seed, 3, fractions=True).runs:
        for ask in run.asks:
            assert len({*ask.positions}) == len(ask.positions)
            assert {*ask.positions} <= {*range(len(run.positions))}
            is_plain = ask.terms.fraction is None and not ask.terms.by_plan
            assert len(ask.positions) == 1 or is_plain


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_one_key_stands_for_one_wish(seed: int) -> None:
    for run in plan_batch(seed, 3, fractions=True).runs:
        wishes = {(ask.key, ask.positions, ask.terms) for ask in run.asks if ask.key}
        assert len(wishes) == len({key for key, _, _ in wishes})
        assert not any(ask.key and ask.terms.by_plan for ask in run.asks)


def test_two_positions_share_a_bucket_in_most_runs() -> None:
    runs = plan_batch(1, 100).runs
    sharing = 0
    for run in runs:
        places = [(leg.symbol, run.idx(leg.side)) for legs in run.positions for leg in legs]
        sharing += len(places) > len(set(places))
    assert sharing > 50


def test_the_exchange_knows_every_trouble() -> None:
    board = FaultBoard()
    palettes = (ACCOUNT_TROUBLES, COMPOUND_TROUBLES, VENUE_TROUBLES)
    specs = [spec for palette in palettes for specs in palette.values() for spec in specs]
    for spec in specs:
        board.add(spec, Books(), seed=1)
    assert len(board.all()) == len(specs)


def test_some_positions_cancel_out() -> None:
    runs = plan_batch(1, 100).runs
    both = [{(leg.symbol, leg.signed) for legs in run.positions for leg in legs} for run in runs]
    assert any((symbol, -signed) in found for found in both for symbol, signed in found)
