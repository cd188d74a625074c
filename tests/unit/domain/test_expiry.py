"""When a contract ends, by its name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from positiond.daemon.domain.expiry import expiry_of
from positiond.daemon.domain.model import Category


@pytest.mark.parametrize(
    ("category", "symbol", "day"),
    [
        (Category.OPTION, "BTC-26DEC25-100000-C-USDT", (2025, 12, 26)),
        (Category.OPTION, "ETH-3JAN26-2500-P", (2026, 1, 3)),
        (Category.LINEAR, "BTCUSDT-29MAR26", (2026, 3, 29)),
        (Category.LINEAR, "BTC-29MAR26", (2026, 3, 29)),
    ],
)
def test_a_dated_name_says_when_the_contract_is_delivered(
    category: Category, symbol: str, day: tuple[int, int, int]
) -> None:
    assert expiry_of(category, symbol) == datetime(*day, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("category", "symbol"),
    [
        (Category.LINEAR, "BTCUSDT"),
        (Category.INVERSE, "BTCUSDH26"),
        (Category.SPOT, "BTC-26DEC25"),
        (Category.OPTION, "BTC-31FEB26-1-C"),
        (Category.OPTION, "BTC-26XYZ25-1-C"),
    ],
)
def test_a_name_without_a_day_says_nothing(category: Category, symbol: str) -> None:
    assert expiry_of(category, symbol) is None
