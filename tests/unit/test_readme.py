"""What the README says of settings, verbs and the closing machine is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from positiond.daemon.cli import VERBS
from positiond.daemon.domain.closing import ORDER_TABLE, REQUEST_TABLE
from positiond.daemon.serving import settings_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def between(start: str, end: str) -> str:
    return README.partition(start)[2].partition(end)[0].strip("\n")


def diagram() -> str:
    """Both tables as Mermaid state diagrams; events that change nothing are left out."""
    return "\n\n".join(
        _machine(title, {(str(old), str(event)): str(new) for (old, event), new in table.items()})
        for title, table in (
            ("A close request", REQUEST_TABLE),
            ("Each of its orders", ORDER_TABLE),
        )
    )


def _machine(title: str, table: dict[tuple[str, str], str]) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for (old, event), new in table.items():
        if old != new:
            arrows.setdefault((old, new), []).append(event)
    states = [*dict.fromkeys([*(old for old, _ in table), *table.values()])]
    moving = {old for old, _ in arrows}
    lines = [f"    {old} --> {new}: {', '.join(events)}" for (old, new), events in arrows.items()]
    ends = [f"    {state} --> [*]" for state in states if state not in moving]
    body = "\n".join([f"    [*] --> {states[0]}", *lines, *ends])
    return f"{title}:\n\n```mermaid\nstateDiagram-v2\n{body}\n```"


def test_the_table_of_settings_is_the_one_of_the_code() -> None:
    shown = between("<!-- settings: from daemon/settings.py -->", "<!-- /settings -->")
    assert shown == "\n".join(settings_table())


def test_the_closing_diagram_is_drawn_from_the_tables() -> None:
    shown = between("<!-- closing: from daemon/domain/closing.py -->", "<!-- /closing -->")
    assert shown == diagram()


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert f"`{verb}" in README
