"""What is unknown is counted always and logged once."""

from __future__ import annotations

from positiond.bybit.oddities import Oddities
from structlog.testing import capture_logs


def test_each_kind_is_logged_once_and_counted_always() -> None:
    oddities = Oddities()
    with capture_logs() as logs:
        for _ in range(3):
            oddities.note("retCode 987654", "what is this")
        oddities.note("execType Brandnew", "BTCUSDT")
    assert oddities.counts == {"retCode 987654": 3, "execType Brandnew": 1}
    assert [(log["kind"], log["log_level"]) for log in logs] == [
        ("retCode 987654", "error"),
        ("execType Brandnew", "error"),
    ]


def test_kinds_without_end_do_not_fill_the_memory() -> None:
    oddities = Oddities()
    with capture_logs():
        for number in range(5000):
            oddities.note(f"kind {number}", "")
    assert len(oddities.counts) <= 1001
    assert sum(oddities.counts.values()) == 5000
