"""The parts of the README that are made from the code; `make readme` writes them anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from positiond.daemon.domain.closing import ORDER_TABLE, REQUEST_TABLE
from positiond.daemon.serving import settings_table

README: Final = Path(__file__).parents[1] / "README.md"


def settings() -> str:
    return "\n".join(settings_table())


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


# The lines before and after a part → what makes it.
PARTS: Final[Mapping[tuple[str, str], Callable[[], str]]] = MappingProxyType(
    {
        ("<!-- settings: from daemon/settings.py -->", "<!-- /settings -->"): settings,
        ("<!-- closing: from daemon/domain/closing.py -->", "<!-- /closing -->"): diagram,
    }
)


def part(text: str, start: str, end: str) -> str:
    """What stands between the two lines; ValueError where they are missing."""
    before, found, rest = text.partition(start + "\n")
    inside, closed, _ = rest.partition("\n" + end)
    if not found or not closed:
        raise ValueError(f"no {start} in {len(before)} characters")
    return inside


def renewed(text: str) -> str:
    for (start, end), made in PARTS.items():
        text = text.replace(f"{start}\n{part(text, start, end)}\n", f"{start}\n{made()}\n")
    return text


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
