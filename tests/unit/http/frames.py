"""Reads server-sent events, and plays the page that applies them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True)
class Frame:
    event: str
    id: str | None
    data: dict[str, Any]


def parse(raw: bytes) -> list[Frame]:
    """Every whole event in the bytes; comments and `retry` are passed over."""
    frames = []
    for block in raw.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if "data" in fields:
            data = orjson.loads(fields["data"])
            frames.append(Frame(fields["event"], fields.get("id"), data))
    return frames


@dataclass
class Page:
    """What a client that follows the contract would show; a gap in the numbers is an error."""

    seq: int | None = None
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, raw: bytes) -> None:
        for frame in parse(raw):
            self._apply(frame)

    def _apply(self, frame: Frame) -> None:
        seq = frame.data.get("seq")
        if frame.event == "snapshot":
            self.seq = seq
            self.positions = {position["id"]: position for position in frame.data["positions"]}
            return
        if seq is not None:
            assert self.seq is not None, "a delta before its snapshot"
            assert seq == self.seq + 1, f"a gap: {self.seq} → {seq}"
            self.seq = seq
        for change in frame.data.get("changes", []):
            if change.get("removed"):
                del self.positions[change["id"]]
            else:
                self.positions.setdefault(change["id"], {}).update(change)
