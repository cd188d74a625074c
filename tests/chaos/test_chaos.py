"""A small campaign, as a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, Order
from tests.chaos.markets import FRACTIONS_OFFERED, OFFERED


@pytest.mark.thorough
@pytest.mark.timeout(400)
async def test_nothing_is_violated_when_everything_goes_wrong_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Order(10, 1, 10, 1, None, OFFERED, FRACTIONS_OFFERED, tmp_path)
    assert await Campaign(order).run() == 0, capsys.readouterr().out


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
async def test_nothing_is_violated_in_thousands_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Order(3_000, 1_000_000, 30, 3, None, OFFERED, FRACTIONS_OFFERED, tmp_path)
    with capsys.disabled():
        assert await Campaign(order).run() == 0
