"""Checks a value against the subset of JSON Schema that our description uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

KNOWN = {
    "$ref",
    *("description", "default", "examples"),
    *("type", "enum", "anyOf"),
    *("pattern", "format", "minLength", "maxLength", "minimum", "maximum"),
    *("required", "properties", "additionalProperties"),
    *("items", "minItems", "maxItems"),
}
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def faults(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Why the value does not conform; empty when it does. An unknown keyword is a fault."""
    if unknown := set(schema) - KNOWN:
        return [f"keywords not understood: {unknown}"]
    if "$ref" in schema:
        return faults(value, resolve(schema["$ref"], document), document)
    if "anyOf" in schema:
        tried = [faults(value, option, document) for option in schema["anyOf"]]
        return [] if any(not found for found in tried) else [f"none of anyOf: {tried}"]
    if not is_of_type(value, schema["type"]):
        return [f"{value!r} is not of type {schema['type']}"]
    inside = [*_array(value, schema, document), *_object(value, schema, document)]
    return [*_scalar(value, schema), *inside]


def is_of_type(value: Any, name: str) -> bool:
    if name == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[name])


def resolve(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def _scalar(value: Any, schema: Mapping[str, Any]) -> list[str]:
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{value!r} does not match {schema['pattern']}")
    if schema.get("format") == "uuid":
        UUID(value)
    if schema.get("format") == "date-time" and not datetime.fromisoformat(value).tzinfo:
        found.append(f"{value!r} has no zone")
    return found


def _array(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    if not isinstance(value, list):
        return []
    return [fault for item in value for fault in faults(item, schema["items"], document)]


def _object(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    properties = schema["properties"]
    found = [f"'{name}' is missing" for name in schema["required"] if name not in value]
    found += [f"'{name}' is not described" for name in value if name not in properties]
    for name in value.keys() & properties.keys():
        found += [f"{name}: {fault}" for fault in faults(value[name], properties[name], document)]
    return found
