"""What the README says of settings, verbs and the closing machine is what the code says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from positiond.daemon.cli import VERBS

from tests.readme import PARTS, README, part

TEXT = README.read_text()


@pytest.mark.parametrize(("lines", "made"), PARTS.items(), ids=["settings", "closing"])
def test_what_is_made_from_the_code_is_as_the_code_makes_it(
    lines: tuple[str, str], made: Callable[[], str]
) -> None:
    assert part(TEXT, *lines) == made(), "make readme"


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert f"`{verb}" in TEXT
