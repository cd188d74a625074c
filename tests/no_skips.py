"""With CI set, a skipped test fails the run: there a machine has all that a test may want.

Two things CI cannot have are excepted: a testnet key, and the venue's own samples.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SAMPLES = Path(__file__).parents[2] / "shared" / "bybit-samples"
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and not _is_excepted(report):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if os.environ.get("CI") and _skipped and not is_worker:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("CI"):
        for nodeid in _skipped:
            terminalreporter.write_line(f"SKIPPED in CI, which counts as a failure: {nodeid}")


def _is_excepted(report: pytest.TestReport) -> bool:
    if "testnet" in report.keywords:
        return True
    has_samples = _SAMPLES.is_dir() or "POSITIOND_BYBIT_SAMPLES" in os.environ
    return "sample" in str(report.longrepr) and not has_samples
