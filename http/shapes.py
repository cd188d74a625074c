"""The shapes that schemas are put together from: closed objects, lists, decimals as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .replies import Json


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    """A closed object."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def listing(of: Json, most: int | None = None, fewest: int | None = None) -> Json:
    bounds = {"minItems": fewest, "maxItems": most}
    return {
        "type": "array",
        "items": of,
        **{key: value for key, value in bounds.items() if value is not None},
    }


def text(longest: int | None = None, shortest: int = 1) -> Json:
    if longest is None:
        return {"type": "string"}
    return {"type": "string", "minLength": shortest, "maxLength": longest}


def or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def words(values: Iterable[str]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


ID: Final[Json] = {"type": "string", "format": "uuid"}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
DECIMAL: Final[Json] = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
    "description": "A decimal number as text, every digit kept",
}
FLAG: Final[Json] = {"type": "boolean"}
INTEGER: Final[Json] = {"type": "integer"}
