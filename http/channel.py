"""One user's channel: what the user's streams were told last, and the frames that told it.

The rule that makes deltas safe: a snapshot is always the state after the newest frame. Whoever
joins first brings the channel up to date, as one more delta to everybody, and then takes the
snapshot; so a delta computed against the channel's state is right for every client.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from ..daemon.domain.model import PositionId, PositionStatus
from ..daemon.domain.views import PositionView
from . import render
from .replies import Json, encode

# What a reconnecting client can catch up on; beyond it a snapshot is the shorter way anyway.
_RING_FRAMES: Final = 512
_RING_BYTES: Final = 1 << 20


class Channel:
    """Numbers frames and remembers the newest; knows no client."""

    def __init__(self, views: Iterable[PositionView]) -> None:
        # An epoch is this channel's alone: an id of another user, or of the time before a
        # restart, never matches.
        self.epoch: Final = secrets.token_hex(6)
        self.seq = 1
        self._shown: dict[PositionId, Json] = {
            view.position.id: render.position(view) for view in views
        }
        self._ring: deque[tuple[int, bytes]] = deque()
        self._ring_bytes = 0
        self._snapshot: bytes | None = None

    def bring_up_to_date(self, views: Sequence[PositionView]) -> bytes | None:
        """The frame that leads from what was shown last to exactly `views`; None for no change."""
        current = {view.position.id for view in views}
        return self.positions(views, [id_ for id_ in self._shown if id_ not in current])

    def positions(
        self, changed: Iterable[PositionView], removed: Iterable[PositionId]
    ) -> bytes | None:
        """The next `positions` frame, or None where nothing that is shown changed."""
        changes = [change for view in changed if (change := self._change(view)) is not None]
        changes += [gone for id_ in removed if (gone := self._removal(id_)) is not None]
        return self.frame("positions", {"changes": changes}) if changes else None

    def frame(self, event: str, body: Json) -> bytes:
        """Number the event, encode it once, and remember it."""
        self.seq += 1
        self._snapshot = None
        frame = self._encode(event, {"seq": self.seq, **body})
        self._remember(frame)
        return frame

    def snapshot(self) -> bytes:
        """All positions as of the newest frame; encoded once for all who ask before the next."""
        if self._snapshot is None:
            body: Json = {"seq": self.seq, "positions": list(self._shown.values())}
            self._snapshot = self._encode("snapshot", body)
        return self._snapshot

    def since(self, last_event_id: str | None) -> list[bytes] | None:
        """The frames after that id; None where they are no longer all there (or never were)."""
        epoch, _, number = (last_event_id or "").partition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdecimal()):
            return None
        seen = int(number[:20])
        oldest_needed = seen + 1
        if seen > self.seq or (seen < self.seq and not self._remembers(oldest_needed)):
            return None
        return [frame for seq, frame in self._ring if seq > seen]

    def _change(self, view: PositionView) -> Json | None:
        position = view.position
        if position.status is PositionStatus.CLOSED:
            return self._removal(position.id)
        whole = render.position(view)
        before = self._shown.get(position.id)
        self._shown[position.id] = whole
        if before is None:
            return whole
        changed = {key: value for key, value in whole.items() if before[key] != value}
        return {"id": whole["id"], **changed} if changed else None

    def _removal(self, position_id: PositionId) -> Json | None:
        if self._shown.pop(position_id, None) is None:
            return None
        return {"id": str(position_id), "removed": True}

    def _encode(self, event: str, body: Json) -> bytes:
        head = f"id: {self.epoch}-{self.seq}\nevent: {event}\ndata: ".encode()
        return head + encode(body) + b"\n\n"

    def _remember(self, frame: bytes) -> None:
        self._ring.append((self.seq, frame))
        self._ring_bytes += len(frame)
        while len(self._ring) > _RING_FRAMES or self._ring_bytes > _RING_BYTES:
            _, forgotten = self._ring.popleft()
            self._ring_bytes -= len(forgotten)

    def _remembers(self, seq: int) -> bool:
        return bool(self._ring) and self._ring[0][0] <= seq


def unnumbered(event: str, body: Json) -> bytes:
    """A frame for one client alone; without an id it leaves the client's place as it is."""
    return f"event: {event}\ndata: ".encode() + encode(body) + b"\n\n"
