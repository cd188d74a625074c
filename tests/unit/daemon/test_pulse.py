import pytest
from positiond.daemon.pulse import Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_loop_is_late_by_its_own_limit() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.expect("fast", 1)
    pulse.expect("slow", 10)
    assert pulse.late(1) == []
    assert pulse.late(2) == ["fast"]
    assert pulse.late(11) == ["fast", "slow"]


def test_a_beat_starts_the_limit_anew() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.expect("loop", 1)
    clock.now = 5
    pulse.beat("loop")
    assert pulse.late(6) == []
    assert pulse.late(6.1) == ["loop"]


def test_a_forgotten_loop_is_never_late_and_may_not_beat() -> None:
    pulse = Pulse(Clock())
    pulse.expect("loop", 1)
    pulse.forget("loop")
    assert pulse.late(100) == []
    with pytest.raises(KeyError):
        pulse.beat("loop")
