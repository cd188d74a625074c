"""Who may open, who may begin a close and send an order, and that paper is not the client's."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("daemon", "bybit", "store", "http")
    for path in sorted((_ROOT / folder).rglob("*.py"))
]


def imported(path: Path) -> set[str]:
    """The last parts of all modules and names that a file imports, and their modules in full."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.add(module)
            found.update(f"{module}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def test_only_the_smoke_test_can_open() -> None:
    users = {
        path.relative_to(_ROOT).as_posix()
        for path in SOURCES
        if any(name.endswith(("bybit.opening", "bybit.opening.Opener")) for name in imported(path))
        or (path.parent.name == "bybit" and "opening" in imported(path))
    }
    assert users <= {"daemon/smoke.py"}


def callers(*names: str) -> set[str]:
    """The files that call what is so named, by its last parts."""
    return {
        path.relative_to(_ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(names)
    }


def test_only_a_request_over_http_begins_a_close() -> None:
    """No loop, no rule and no number that was derived ever closes a position."""
    assert callers(".request_close", ".request_set") == {"http/closes.py"}
    assert callers("closes.accept", "closes.accept_set") == {"daemon/close_desk.py"}
    senders = callers("exchange.send", "exchange().send")
    assert senders == {"daemon/close_orders.py", "daemon/smoke_life.py"}


@pytest.mark.parametrize("path", sorted((_ROOT / "bybit").glob("*.py")), ids=lambda path: path.name)
def test_the_client_knows_nothing_of_the_paper_exchange(path: Path) -> None:
    assert not {name for name in imported(path) if "paper" in name}


def orders_written(path: Path) -> list[dict[str, ast.expr]]:
    """The literal order bodies of a file, by key."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict):
            keys = (ast.unparse(key) for key in node.keys if key)
            pairs = dict(zip(keys, node.values, strict=False))
            if "'orderType'" in pairs:
                found.append(pairs)
    return found


def test_reduce_only_is_never_left_to_an_argument() -> None:
    """Outside of opening.py the one encoder of orders writes the literal true, or sells spot."""
    written = {
        path.name: orders
        for path in (_ROOT / "bybit").glob("*.py")
        if (orders := orders_written(path))
    }
    assert set(written) == {"opening.py", "order_body.py"}
    selling, reducing = sorted(written["order_body.py"], key=lambda pairs: "'reduceOnly'" in pairs)
    assert ast.unparse(reducing["'reduceOnly'"]) == "True"
    assert ast.unparse(selling["'category'"]) == "Category.SPOT.value"
    assert ast.unparse(selling["'side'"]) == "Side.SELL.value"
    assert ast.unparse(selling["'isLeverage'"]) == "0"
    (opening,) = written["opening.py"]
    assert ast.unparse(opening["'reduceOnly'"]) == "False"
