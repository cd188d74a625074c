"""The web application, and the server that runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from . import pages
from .access import Gate
from .access_log import AccessLog
from .assets import asset_routes, load_dashboard
from .docs import DESCRIPTION, description_of
from .middleware import add_security_headers, problem_middleware
from .routes import api_routes
from .services import HttpSettings, Services

_LARGEST_BODY = 64 * 1024
# Also the time a connection may take to send its first headers.
_SECONDS_IDLE = 75
_SECONDS_TO_STOP = 5


def build_app(services: Services, settings: HttpSettings) -> web.Application:
    """Every route, behind the middleware; nothing runs yet."""
    app = web.Application(
        middlewares=[problem_middleware(services.counters, services.now)],
        client_max_size=_LARGEST_BODY,
    )
    gate = Gate(services.people, services.now, settings.public_url)
    routes = api_routes(services, gate, settings)
    app[DESCRIPTION] = description_of(routes)
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
        if route.takes_head:
            app.router.add_route("HEAD", route.path, route.handler)
    app.router.add_get(pages.STYLE_PATH, pages.style)
    for path, handler in asset_routes(load_dashboard(settings.dashboard)).items():
        app.router.add_get(path, handler)
    app.on_response_prepare.append(add_security_headers)

    async def end_streams(_app: web.Application) -> None:
        services.hub.shut()

    app.on_shutdown.append(end_streams)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the context lasts; gives the URL (port 0: with the one that was free).

    OSError when the address cannot be bound.
    """
    runner = web.AppRunner(
        app,
        access_log_class=AccessLog,
        keepalive_timeout=_SECONDS_IDLE,
        shutdown_timeout=_SECONDS_TO_STOP,
        # A client that leaves must not cancel a close halfway through its commit.
        handler_cancellation=False,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound_port = int(runner.addresses[0][1])
        yield f"http://{_in_url(host)}:{bound_port}"
    finally:
        await runner.cleanup()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
