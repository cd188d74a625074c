"""The few pages that are not the dashboard: plain HTML, no script, no outside host."""

from __future__ import annotations

from html import escape

from aiohttp import web

STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
         border-bottom: 1px solid #8884; }
code { font: 14px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.method { font-weight: 600; white-space: nowrap; }
"""
STYLE_PATH = "/api/docs.css"


def html_page(title: str, body: str, *, status: int = 200) -> web.Response:
    """A whole page around `body`, which is HTML already."""
    return web.Response(
        text=(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)} · positiond</title><link rel="stylesheet" href="{STYLE_PATH}">'
            f"</head><body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
        ),
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )


def link_refused() -> web.Response:
    return html_page(
        "This sign-in link does not work",
        "<p>It has expired, or it is not complete. Ask for a new one, or "
        '<a href="/">sign in with your password</a>.</p>',
        status=403,
    )


async def style(_request: web.Request) -> web.StreamResponse:
    return web.Response(
        text=STYLE, content_type="text/css", charset="utf-8", headers={"Cache-Control": "no-cache"}
    )
