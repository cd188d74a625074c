"""GET /api/openapi.json and /api/docs: the description for programs, and the same for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from aiohttp import web

from .openapi import describe, problem_codes
from .operations import Route
from .pages import html_page
from .problems import CODES
from .replies import JSON, encode


@dataclass(frozen=True, slots=True)
class Description:
    """Both forms, made once at start."""

    document: bytes
    page: str


# Kept with the application: the description covers every route, its own two included, and so
# is known only after they are.
DESCRIPTION = web.AppKey("description", Description)


def description_of(routes: Sequence[Route]) -> Description:
    return Description(encode(describe(routes)), _routes_table(routes) + _codes_table())


async def document(request: web.Request) -> web.StreamResponse:
    return web.Response(
        body=request.app[DESCRIPTION].document,
        content_type=JSON,
        headers={"Cache-Control": "no-cache"},
    )


async def docs(request: web.Request) -> web.StreamResponse:
    return html_page("The API", request.app[DESCRIPTION].page)


def _routes_table(routes: Sequence[Route]) -> str:
    rows = "\n".join(
        f'<tr id="{escape(route.operation.id)}"><td class="method">{route.method}</td>'
        f"<td><code>{escape(route.path)}</code></td><td>{route.access}</td>"
        f"<td>{escape(route.operation.summary)}{_parameters(route)}</td>"
        f"<td>{_answers(route)}</td><td>{_codes(route)}</td></tr>"
        for route in routes
    )
    return (
        '<p>For programs: <a href="/api/openapi.json">OpenAPI 3.1</a>. Amounts are strings, '
        "times RFC 3339 in UTC, errors <code>application/problem+json</code>.</p>\n"
        "<table><thead><tr><th>Method</th><th>Path</th><th>Needs</th><th>Does</th>"
        f"<th>Answers</th><th>Refuses with</th></tr></thead><tbody>\n{rows}\n</tbody></table>\n"
    )


def _parameters(route: Route) -> str:
    items = "".join(
        f"<li><code>{escape(parameter.name)}</code> ({parameter.where}): "
        f"{escape(parameter.description)}</li>"
        for parameter in route.operation.parameters
    )
    return f"<ul>{items}</ul>" if items else ""


def _answers(route: Route) -> str:
    return "<br>".join(
        f"{status} {escape(answer.description)}"
        for status, answer in route.operation.answers.items()
    )


def _codes(route: Route) -> str:
    codes = problem_codes(route)
    return " ".join(f'<a href="#{code}"><code>{code}</code></a>' for code in codes)


def _codes_table() -> str:
    rows = "\n".join(
        f'<tr id="{code}"><td><code>{code}</code></td>'
        f"<td>{status}</td><td>{escape(title)}</td></tr>"
        for code, (status, title) in CODES.items()
    )
    return (
        "<h2>Problem codes</h2>\n<table><thead><tr><th>Code</th><th>Status</th><th>Means</th></tr>"
        f"</thead><tbody>\n{rows}\n</tbody></table>"
    )
