"""The loader of named queries."""

from __future__ import annotations

import re
from pathlib import Path

import positiond.store.sql
import pytest
from positiond.store.sql import SQL, parse

FOLDER = Path(positiond.store.sql.__file__).parent


def test_a_query_runs_from_its_name_to_the_next() -> None:
    text = (
        "-- name: a\n-- Does a.\nSELECT 1\n-- why\nFROM x;\n\n-- name: b\n-- Does b.\nSELECT 2;\n"
    )
    assert parse(text) == {"a": "SELECT 1\n-- why\nFROM x", "b": "SELECT 2"}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;\n",
        "SELECT 0;\n-- name: a\n-- Does a.\nSELECT 1;\n",
        "-- name: a\nSELECT 1;\n",
        "-- name: a\n-- Does a.\nSELECT 1;\n-- name: a\n-- Again.\nSELECT 2;\n",
    ],
)
def test_text_without_a_name_or_a_purpose_or_with_a_repeated_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_every_name_line_became_a_query() -> None:
    names = [
        name
        for file in (FOLDER / "queries").glob("*.sql")
        for name in re.findall(r"^-- name: (\w+)$", file.read_text(), re.MULTILINE)
    ]
    assert sorted(names) == sorted(SQL)


def test_every_query_is_used_and_every_used_name_is_a_query() -> None:
    source = "\n".join(file.read_text() for file in FOLDER.glob("*.py"))
    assert set(re.findall(r'SQL\[\s*"(\w+)"\s*\]', source)) == set(SQL)
