"""How many examples a property is tried on: all in CI, a third where somebody waits."""

from __future__ import annotations

import os

_SHARE = 1 if os.environ.get("CI") else 3


def examples(number: int) -> int:
    return max(number // _SHARE, 1)
