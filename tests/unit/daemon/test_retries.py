"""What is not known yet is looked at again, ever more seldom, until it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from positiond.daemon.retries import Retries

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = timedelta(seconds=61)


def retries() -> Retries[str]:
    return Retries(first=2.0, most=60.0)


def test_a_look_that_failed_is_repeated_within_a_minute() -> None:
    again = retries()
    again.plan("one", NOON, again=True)
    assert again.take_due(NOON + LONG) == {"one"}


def test_a_key_is_handed_out_once() -> None:
    again = retries()
    again.plan("one", NOON, again=True)
    again.take_due(NOON + LONG)
    assert again.take_due(NOON + 2 * LONG) == set()


def test_nothing_is_due_before_its_pause_is_over() -> None:
    again = retries()
    again.plan("one", NOON, again=True)
    assert again.take_due(NOON - timedelta(seconds=1)) == set()


def test_what_is_known_is_not_looked_at_again() -> None:
    again = retries()
    again.plan("one", NOON, again=True)
    again.plan("one", NOON, again=False)
    assert again.take_due(NOON + LONG) == set()


def test_looks_for_other_reasons_do_not_put_off_the_one_that_is_planned() -> None:
    again, at = retries(), NOON
    again.plan("one", at, again=True)
    for _ in range(40):
        at += timedelta(seconds=1)
        again.plan("one", at, again=True)
    assert again.take_due(NOON + timedelta(seconds=3)) == {"one"}


def test_the_pauses_grow_and_stay_within_a_minute() -> None:
    again, at, waits = retries(), NOON, []
    for _ in range(40):
        again.plan("one", at, again=True)
        start = at
        while not again.take_due(at):
            at += timedelta(seconds=1)
        waits.append((at - start).total_seconds())
    assert max(waits) <= 60
    # Jittered over the whole pause, so only the sums can be compared.
    assert sum(waits[20:]) > 5 * sum(waits[:3])
