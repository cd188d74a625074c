"""What could not be read is asked for again, ever more seldom, until it is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from positiond.daemon.domain.model import AccountId
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.verdict import Reading, symbol_of
from positiond.daemon.retries import Retries

from ...builders import component, position

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = timedelta(seconds=61)


def holding(*failures: str | None) -> tuple[Portfolio, AccountId]:
    """An account with a leg per entry, whose last read failed for that reason or did not."""
    one = position(*(component(symbol=f"S{n}USDT") for n in range(len(failures))))
    portfolio = Portfolio()
    portfolio.put(one)
    for leg, failure in zip(one.components, failures, strict=True):
        portfolio.readings[symbol_of(one, leg)] = Reading((), NOON, failure)
    return portfolio, one.account_id


def test_one_failed_read_of_many_is_tried_again_within_a_minute() -> None:
    portfolio, account_id = holding(None, "HTTP 502", None)
    retries = Retries()
    retries.plan(portfolio, account_id, NOON)
    assert retries.take_due(NOON + LONG) == {account_id}


def test_an_account_is_handed_out_once() -> None:
    portfolio, account_id = holding("HTTP 502")
    retries = Retries()
    retries.plan(portfolio, account_id, NOON)
    retries.take_due(NOON + LONG)
    assert retries.take_due(NOON + 2 * LONG) == set()


def test_nothing_is_due_before_its_pause_is_over() -> None:
    portfolio, account_id = holding("HTTP 502")
    retries = Retries()
    retries.plan(portfolio, account_id, NOON)
    assert retries.take_due(NOON - timedelta(seconds=1)) == set()


def test_reads_that_came_through_are_not_tried_again() -> None:
    broken, account_id = holding("HTTP 502")
    mended, _ = holding(None)
    retries = Retries()
    retries.plan(broken, account_id, NOON)
    retries.plan(mended, account_id, NOON)
    assert retries.take_due(NOON + LONG) == set()


def test_the_pauses_grow_and_stay_within_a_minute() -> None:
    portfolio, account_id = holding("HTTP 502")
    retries, at, waits = Retries(), NOON, []
    for _ in range(40):
        retries.plan(portfolio, account_id, at)
        start = at
        while not retries.take_due(at):
            at += timedelta(seconds=1)
        waits.append((at - start).total_seconds())
    assert max(waits) <= 60
    # Jittered over the whole pause, so only the sums can be compared.
    assert sum(waits[20:]) > 5 * sum(waits[:3])
