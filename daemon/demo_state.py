"""What the demo remembers between starts, and how it forgets: `demo.json` in its data directory."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from ..http.keys import new_token
from ..store.embedded import EmbeddedPostgres
from .demo_cast import ACCOUNTS
from .domain.model import Credentials

_FILE: Final = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoState:
    """Keys that stay the same over restarts, so that scripts written against them keep working.

    They open nothing but this demo; the file is readable by its owner alone all the same.
    """

    token: str = field(repr=False)
    keys: dict[str, Credentials]

    @classmethod
    def new(cls) -> Self:
        return cls(new_token(), {label: _paper_key() for label in ACCOUNTS})

    @classmethod
    def load(cls, data_dir: Path) -> Self | None:
        """None where no start has ever got as far as recording its whole cast."""
        try:
            stored = json.loads((data_dir / _FILE).read_text())
            keys = {
                label: Credentials(pair["key"], pair["secret"])
                for label, pair in stored["keys"].items()
            }
            return cls(stored["token"], keys)
        except (FileNotFoundError, json.JSONDecodeError, KeyError):
            return None

    def save(self, data_dir: Path) -> None:
        """Atomic: a start that is killed half-way counts as one that never was."""
        keys = {label: {"key": c.key, "secret": c.secret} for label, c in self.keys.items()}
        draft = data_dir / f"{_FILE}.new"
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"token": self.token, "keys": keys}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(data_dir / _FILE)


def forget(data_dir: Path) -> None:
    """Delete what the demo keeps in the directory, and nothing else that may be there."""
    # First of all the file that says the rest is complete.
    (data_dir / _FILE).unlink(missing_ok=True)
    EmbeddedPostgres(data_dir).remove()
    for name in ("paper", "log"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    (data_dir / "seal.key").unlink(missing_ok=True)


def _paper_key() -> Credentials:
    return Credentials(secrets.token_hex(9), secrets.token_hex(18))
