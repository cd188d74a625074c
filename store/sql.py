"""The named queries of `queries/*.sql`, loaded once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

# A query starts with `-- name: …`, then its purpose on one line, and runs to the next name.
_QUERY = re.compile(
    r"^-- name: (\w+)\n-- ([^\n]+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL
)


def parse(text: str) -> dict[str, str]:
    """Query texts by name; ValueError for a repeated name or text that belongs to no query."""
    queries: dict[str, str] = {}
    end = 0
    for match in _QUERY.finditer(text):
        if text[end : match.start()].strip() or match[1] in queries:
            raise ValueError(f"stray or repeated query before or at {match[1]!r}")
        queries[match[1]] = match[3].strip().removesuffix(";")
        end = match.end()
    if text[end:].strip():
        raise ValueError(f"no name line before {text[end:].strip()[:40]!r}")
    return queries


def load() -> Mapping[str, str]:
    """Every query of every file; a name is unique among them all."""
    found: dict[str, str] = {}
    for file in files(__package__).joinpath("queries").iterdir():
        if file.name.endswith(".sql"):
            queries = parse(file.read_text("utf-8"))
            if repeated := found.keys() & queries.keys():
                raise ValueError(f"query names used twice: {sorted(repeated)}")
            found |= queries
    return MappingProxyType(found)


SQL: Final = load()
