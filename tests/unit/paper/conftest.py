"""Fixtures of the paper exchange's unit tests."""

import pytest

from .floor import Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()
