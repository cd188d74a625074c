"""A request on a stream, as it goes out."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from . import vocab


@dataclass(frozen=True, slots=True)
class Command:
    """A request on a stream; `args` may hold a key and a signature, so no repr shows them."""

    op: vocab.Op
    args: tuple[str | int, ...]
    request_id: str

    def encode(self) -> str:
        frame: dict[str, object] = {"req_id": self.request_id, "op": self.op.value}
        if self.args:
            frame["args"] = list(self.args)
        return orjson.dumps(frame).decode()

    def __repr__(self) -> str:
        return f"Command(op={self.op.value!r}, request_id={self.request_id!r})"
