"""Every code that can be raised is in the API's list, or is known never to leave by the API."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import positiond.daemon.cli
from positiond.daemon.domain import errors
from positiond.daemon.domain.errors import PositiondError
from positiond.daemon.domain.share import Blocker
from positiond.http.operations import CLOSE_PLAN
from positiond.http.problems import CODES

ROOT = Path(positiond.daemon.cli.__file__).parents[1]
FOLDERS = ("daemon", "store", "bybit", "http")

KINDS = {
    name
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, PositiondError)
}

ON_THE_COMMAND_LINE = {
    *("unknown-user", "unknown-token", "username-taken", "label-taken", "key-on-file"),
    *("short-password", "bad-username", "bad-label", "dangerous-key", "account-in-use", "no-host"),
    *("empty-secret", "no-secret", "secrets-differ", "no-key", "bad-key-file", "bad-option"),
    *("bad-environment", "bad-symbols", "demo-running", "port-in-use", "daemon-unreachable"),
    *("paper-refused", "paper-unreachable"),
}
BEFORE_THE_API_IS_UP = {
    *("bad-configuration", "database-url", "embedded-postgres", "postgres-version"),
    *("schema-older", "schema-newer", "schema-unknown"),
    *("seal-key", "seal-key-unknown", "seal-broken"),
}
AMONG_THE_LOOPS = {
    # The closer's own: what it meets is told by the close, not by the answer to a request.
    *("illegal-transition", "executions-lag", "trading-paused", "unknown-order", "foreign-fill"),
    *("netting-unbalanced", "netting-beyond-open", "parts-unfit", "orders-unsettled"),
    *("leadership-lost", "option-fills", "spot-deliveries"),
    # The routes refuse the same before, under codes of their own, or the connection is missing.
    *("quantity-not-positive", "no-positions", "no-hosts"),
}


def made() -> Iterator[tuple[str, ast.expr]]:
    """(file, code) of every error of ours that is made anywhere."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            # The paper exchange speaks as Bybit does: its codes are Bybit's.
            if "paper" not in file.parts:
                for code in _made_in(ast.parse(file.read_text())):
                    yield str(file.relative_to(ROOT)), code


def _made_in(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _name(node.func) in KINDS and node.args:
            yield node.args[0]


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _written_out(code: ast.expr) -> str | None:
    match code:
        case ast.Constant(value=str(text)):
            return text
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="Blocker"), attr=name)):
            return Blocker[name].value
        case _:
            return None


MADE = {(file, _written_out(code)) for file, code in made()}
INSIDE = ON_THE_COMMAND_LINE | BEFORE_THE_API_IS_UP | AMONG_THE_LOOPS


def test_every_code_is_listed_or_never_leaves_by_the_api() -> None:
    known = INSIDE | CODES.keys() | {None}
    assert {(file, code) for file, code in MADE if code not in known} == set()


def test_what_never_leaves_by_the_api_is_raised_somewhere_and_not_listed_there() -> None:
    assert INSIDE - {code for _, code in MADE} == set()
    assert INSIDE & CODES.keys() == set()


def test_codes_are_written_out_where_they_are_raised() -> None:
    # But for a field's own code for a word that is none of its enum, and one of several errors.
    handed_on = {file for file, code in MADE if code is None}
    assert handed_on == {"http/fields.py", "daemon/smoke_report.py"}


def test_what_a_plan_meets_around_its_legs_is_among_its_codes() -> None:
    files = {"daemon/close_context.py", "daemon/domain/bucket_plan.py"}
    around = {code for file, code in MADE if file in files}
    assert {"no-row", "rows-lag", "contradictory-rows"} <= around <= {*CLOSE_PLAN.codes}
