"""Proof of absence: late enough, silent for long enough, and never by one look alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.absence import AbsenceProof, ended_unfilled

from ...builders import NOON, after
from .samples import steady

DIES = after(5)


def test_silence_before_the_signature_is_dead_proves_nothing() -> None:
    proof = AbsenceProof(DIES)
    assert not any(proof.looked_up_empty(after(second)) for second in range(16))
    assert not proof.looked_up_empty(after(15.1))
    assert not proof.looked_up_empty(after(25))
    assert proof.looked_up_empty(after(25.1))


def test_one_empty_look_however_late_proves_nothing() -> None:
    assert not AbsenceProof(DIES).looked_up_empty(after(3600))


@pytest.mark.parametrize("gap", [0.0, 9.999])
def test_two_looks_within_ten_seconds_prove_nothing(gap: float) -> None:
    proof = AbsenceProof(DIES)
    proof.looked_up_empty(after(100))
    assert not proof.looked_up_empty(after(100 + gap))


def test_a_failed_look_breaks_the_silence() -> None:
    proof = AbsenceProof(DIES)
    proof.looked_up_empty(after(16))
    proof.interrupted()
    assert not proof.looked_up_empty(after(30))
    assert not proof.looked_up_empty(after(39.9))
    assert proof.looked_up_empty(after(40))


@steady
@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=30))
def test_absence_is_proven_only_by_ten_silent_seconds_after_the_margin(
    looks: list[tuple[float, bool]],
) -> None:
    proof = AbsenceProof(DIES)
    silent_since = None
    for second, answered in sorted(looks):
        now = after(second)
        if not answered:
            proof.interrupted()
            silent_since = None
            continue
        if silent_since is None and now > DIES + timedelta(seconds=10):
            silent_since = now
        proven = proof.looked_up_empty(now)
        assert proven is (silent_since is not None and now - silent_since >= timedelta(seconds=10))


def test_a_known_order_without_a_trace_ended_after_a_minute() -> None:
    assert not ended_unfilled(NOON, after(59.9))
    assert ended_unfilled(NOON, after(60))
