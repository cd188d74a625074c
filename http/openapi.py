"""The API's own description: OpenAPI 3.1, put together from the route table and the schemas."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version

from .access import COOKIE, Access
from .operations import Answer, Operation, Parameter, Route
from .problems import CODES
from .replies import PROBLEM_JSON, Json
from .schemas import SCHEMAS
from .shapes import ref, words

_ANYWHERE = ("internal-error",)
_SIGNED_IN = ("not-signed-in", "invalid-token", "store-unavailable")
_TRADE = ("scope-read-only", "foreign-origin")


def describe(routes: Iterable[Route]) -> Json:
    """The whole document, as plain JSON values."""
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "positiond",
            "version": version("positiond"),
            "summary": "Synthetic positions on Bybit: live P&L, deviations, and durable closes.",
        },
        "security": [{"session": []}, {"bearer": []}],
        "paths": dict(paths),
        "components": {
            "schemas": {**SCHEMAS, "ProblemCode": words(sorted(CODES))},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def problem_codes(route: Route) -> tuple[str, ...]:
    """All that the route may refuse with, the general ones included."""
    codes = [*route.operation.codes, *_ANYWHERE]
    if route.access is not Access.PUBLIC:
        codes += _SIGNED_IN
    if route.access is Access.TRADE:
        codes += _TRADE
    return tuple(dict.fromkeys(codes))


def _operation(route: Route) -> Json:
    operation = route.operation
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": [*_path_parameters(route.path), *map(_parameter, operation.parameters)],
        "responses": _answers(operation) | _refusals(route),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.is_body_optional,
            "content": {"application/json": {"schema": ref(operation.body)}},
        }
    if route.access is Access.PUBLIC:
        described["security"] = []
    return described


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": False,
        "schema": dict(parameter.schema),
    }


def _answers(operation: Operation) -> Json:
    return {str(status): _answer(answer) for status, answer in operation.answers.items()}


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    if answer.schema is not None:
        described["content"] = {answer.content_type: {"schema": ref(answer.schema)}}
    elif answer.content_type != "application/json":
        described["content"] = {answer.content_type: {"schema": {"type": "string"}}}
    return described


def _refusals(route: Route) -> Json:
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in problem_codes(route):
        by_status[CODES[code][0]].append(code)
    content = {PROBLEM_JSON: {"schema": ref("Problem")}}
    return {
        str(status): {
            "description": "Refused: " + ", ".join(sorted(codes)),
            "content": content,
        }
        for status, codes in sorted(by_status.items())
        if status not in route.operation.answers
    }
