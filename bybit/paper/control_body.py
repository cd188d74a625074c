"""What a control request asks for, read from its JSON body."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from ..vocab import Category, Side

Body = Mapping[str, Any]


class BadBody(Exception):
    """A control request that cannot be read: 400 with this text."""


def read_body(raw: bytes, query: Mapping[str, str]) -> Body:
    """The JSON body, or the query where there is none."""
    if not raw:
        return dict(query)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadBody("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadBody("the body is not an object")
    return body


def text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadBody(f"{name} is missing")
    return value


def whole(body: Body, name: str, default: int | None = None) -> int:
    value = body.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadBody(f"{name} is not a whole number") from None


def flag(body: Body, name: str, default: bool = False) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise BadBody(f"{name} is neither true nor false")
    return value


def category(body: Body) -> Category:
    try:
        return Category(body.get("category", Category.LINEAR))
    except ValueError:
        raise BadBody("category is unknown") from None


def side(body: Body) -> Side:
    try:
        return Side(text(body, "side"))
    except ValueError:
        raise BadBody("side is neither Buy nor Sell") from None


def number(value: Any) -> Decimal:
    try:
        read = Decimal(str(value))
    except InvalidOperation:
        raise BadBody(f"{value!r} is not a number") from None
    if not read.is_finite():
        raise BadBody(f"{value!r} is not a number")
    return read


def amounts(body: Body, name: str) -> dict[str, Decimal] | None:
    """Coins and amounts, None when the field is absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadBody(f"{name} is not an object")
    return {coin: number(amount) for coin, amount in value.items()}


def groups(body: Body, name: str) -> dict[str, list[str]]:
    """Permission groups and what is allowed of each."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise BadBody(f"{name} is not an object")
    for rights in value.values():
        if not isinstance(rights, list) or not all(isinstance(right, str) for right in rights):
            raise BadBody(f"{name} must hold lists of texts")
    return value


def texts(body: Body, name: str) -> tuple[str, ...]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadBody(f"{name} is not a list of texts")
    return tuple(value)
