"""Small words for scripts that run in a thread of their own."""

import time
from collections.abc import Callable
from typing import Any


def ask(call: Callable[..., Any], **parameters: Any) -> Any:
    """The `result` of one SDK call."""
    return call(**parameters)["result"]


def rows(call: Callable[..., Any], **parameters: Any) -> list[Any]:
    """The `list` of one SDK call."""
    return list(ask(call, **parameters)["list"])


def poll(check: Callable[[], Any], seconds: float = 8) -> Any:
    """Asks until something true comes back."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
    return found
