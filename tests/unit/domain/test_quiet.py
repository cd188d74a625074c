"""The quiet window: due 2 s after the last change, at most 8 s after the first."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.quiet import QuietWindow

from ...builders import BTC, ETH, after, symbol_key
from .samples import steady

BTC_KEY, ETH_KEY = symbol_key(BTC), symbol_key(ETH)


def test_nothing_is_due_while_nothing_changed() -> None:
    window = QuietWindow()
    assert window.due_at() is None
    assert window.take_due(after(100)) == frozenset()


def test_each_change_starts_the_quiet_anew() -> None:
    window = QuietWindow()
    window.note(BTC_KEY, after(0))
    window.note(BTC_KEY, after(1.5))
    assert window.due_at() == after(3.5)
    assert window.take_due(after(3.4)) == frozenset()
    assert window.take_due(after(3.5)) == {BTC_KEY}


def test_a_symbol_that_never_rests_is_due_eight_seconds_after_its_first_change() -> None:
    window = QuietWindow()
    for second in range(8):
        window.note(BTC_KEY, after(second))
        assert window.take_due(after(second)) == frozenset()
    window.note(BTC_KEY, after(7.9))
    assert window.take_due(after(8)) == {BTC_KEY}


def test_what_was_taken_is_forgotten_and_others_stay() -> None:
    window = QuietWindow()
    window.note(BTC_KEY, after(0))
    window.note(ETH_KEY, after(1))
    assert window.take_due(after(2)) == {BTC_KEY}
    assert window.due_at() == after(3)
    window.note(BTC_KEY, after(20))
    assert window.take_due(after(21)) == {ETH_KEY}
    assert window.due_at() == after(22)


@steady
@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_a_verdict_can_always_come_in_time(tenths: list[int]) -> None:
    window = QuietWindow()
    first = None
    for tenth in sorted(tenths):
        now = after(tenth / 10)
        if window.take_due(now):
            first = None
        window.note(BTC_KEY, now)
        first = first or now
        due = window.due_at()
        assert due is not None
        assert due <= min(now + timedelta(seconds=2), first + timedelta(seconds=8))
        assert due >= min(now, first + timedelta(seconds=8))
