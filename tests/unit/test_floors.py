"""The floors of dependency, read from the sources: who may import whom, file by file.

The import linter guards the same rules on the installed package; this test also sees imports
inside functions, and knows a new module's floor without being told.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("daemon", "bybit", "store", "http")

# Floor 3: what puts the product together, or stands around it.
TOP = frozenset(
    f"daemon.{name}"
    for name in (
        *("__main__", "cli", "app", "wiring", "config", "settings", "storage", "logs"),
        *("serving", "presence", "waiting", "children", "secret_input"),
        *("admin", "admin_accounts", "daemon_api", "paper_control"),
        *("demo", "demo_cast", "demo_stage", "demo_state"),
        *("smoke", "smoke_life", "smoke_report"),
    )
)
DOMAIN_MAY = sys.stdlib_module_names | {"numpy"}
DOMAIN_MAY_NOT = {"asyncio", "logging", "socket", "time", "subprocess", "os", "random", "secrets"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Absolute names and whether each is one of ours."""
    package = name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", (node.module or "").startswith("positiond")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            stem = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                deeper = ROOT.joinpath(*stem, alias.name).with_suffix(".py")
                yield ".".join([*stem, alias.name] if deeper.exists() else stem), True


def may(importer: str, imported: str) -> bool:
    """Whether one of our modules may import another."""
    if importer in TOP:
        return True
    if importer.startswith("bybit.paper"):
        return imported.startswith("bybit.paper") or imported == "bybit.vocab"
    if imported.startswith("bybit.paper"):
        return False
    floor = importer.split(".")[0]
    if importer.startswith("daemon.domain"):
        return imported.startswith("daemon.domain")
    if floor == "daemon":
        return imported.startswith("daemon") and imported not in TOP
    if floor == "http" and imported.startswith("static"):
        return True
    return imported.startswith((floor, "daemon.domain"))


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_module_imports_only_what_its_floor_may(path: Path) -> None:
    importer = name_of(path)
    wrong = [name for name, ours in imports_of(path) if ours and not may(importer, name)]
    assert wrong == []


@pytest.mark.parametrize(
    "path", [path for path in sources() if "domain" in path.parts], ids=name_of
)
def test_the_domain_knows_neither_clock_nor_network_nor_log(path: Path) -> None:
    outside = {name.split(".")[0] for name, ours in imports_of(path) if not ours}
    assert outside <= DOMAIN_MAY - DOMAIN_MAY_NOT


@pytest.mark.parametrize(
    "path", [path for path in sources() if path.name == "__init__.py"], ids=name_of
)
def test_an_init_holds_a_docstring_and_nothing_else(path: Path) -> None:
    assert [type(node).__name__ for node in ast.parse(path.read_text()).body] in ([], ["Expr"])


def test_only_the_smoke_test_can_open_positions() -> None:
    openers = {
        name_of(path)
        for path in sources()
        if any(name == "bybit.opening" for name, _ in imports_of(path))
    }
    assert openers == {"daemon.smoke"}


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("store.pool", "bybit.rest"),
        ("http.app", "store.store"),
        ("bybit.rest", "http.app"),
        ("bybit.rest", "bybit.paper.engine"),
        ("bybit.paper.engine", "bybit.rest"),
        ("bybit.paper.engine", "daemon.domain.money"),
        ("daemon.tracker", "store.store"),
        ("daemon.tracker", "daemon.config"),
        ("daemon.domain.book", "daemon.tracker"),
        ("store.pool", "daemon.tracker"),
    ],
)
def test_the_rules_refuse_what_they_must(importer: str, imported: str) -> None:
    assert not may(importer, imported)
