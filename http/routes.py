"""Every route of the API on one page; the description at /api/openapi.json is made from it."""

from __future__ import annotations

from aiohttp.typedefs import Handler

from . import docs
from . import operations as op
from .access import Access, Gate, SignedInHandler
from .accounts import AccountRoutes
from .closes import CloseRoutes
from .history import HistoryRoutes
from .operations import Operation, Route
from .positions import PositionRoutes
from .resolving import ResolveRoutes
from .services import HttpSettings, Services
from .sessions import SessionRoutes
from .stream import StreamRoute
from .system import SystemRoutes


def api_routes(services: Services, gate: Gate, settings: HttpSettings) -> tuple[Route, ...]:
    session = SessionRoutes(services, gate, settings)
    positions = PositionRoutes(
        services.board, services.recorder, services.inquiry, services.accounts
    )
    history = HistoryRoutes(services.inquiry)
    resolving = ResolveRoutes(services.resolver)
    closes = CloseRoutes(services.closes, services.counters)
    accounts = AccountRoutes(services.accounts, services.account_desk)
    stream = StreamRoute(services.board, services.hub, gate, settings)
    system = SystemRoutes(services.board)

    def public(method: str, path: str, handler: Handler, operation: Operation) -> Route:
        # HEAD of the sign-in link would make a session that nobody asked for.
        takes_head = method == "GET" and operation is not op.SIGN_IN_LINK
        return Route(method, path, handler, Access.PUBLIC, operation, takes_head)

    def read(path: str, handler: SignedInHandler, operation: Operation) -> Route:
        guarded = gate.guard(handler, Access.READ)
        takes_head = operation is not op.STREAM
        return Route("GET", path, guarded, Access.READ, operation, takes_head)

    def trade(method: str, path: str, handler: SignedInHandler, operation: Operation) -> Route:
        return Route(method, path, gate.guard(handler, Access.TRADE), Access.TRADE, operation)

    return (
        public("POST", "/api/session", session.sign_in, op.SIGN_IN),
        read("/api/session", session.who_am_i, op.WHO_AM_I),
        public("DELETE", "/api/session", session.sign_out, op.SIGN_OUT),
        public("GET", "/sign-in", session.by_link, op.SIGN_IN_LINK),
        read("/api/positions", positions.listing, op.LIST_POSITIONS),
        trade("POST", "/api/positions", positions.record, op.RECORD_POSITION),
        read("/api/positions/{position_id}", positions.one, op.GET_POSITION),
        trade("PATCH", "/api/positions/{position_id}", resolving.edit, op.EDIT_POSITION),
        read("/api/positions/{position_id}/pnl", history.pnl, op.PNL_HISTORY),
        trade(
            "POST", "/api/positions/{position_id}/resolve", resolving.resolve, op.RESOLVE_POSITION
        ),
        read("/api/positions/{position_id}/close-plan", closes.plan, op.CLOSE_PLAN),
        trade("POST", "/api/positions/{position_id}/close", closes.request, op.CLOSE_POSITION),
        trade("POST", "/api/positions/close", closes.together, op.CLOSE_TOGETHER),
        read("/api/closes/{close_id}", closes.one, op.GET_CLOSE),
        trade("POST", "/api/closes/{close_id}/recheck", closes.recheck, op.RECHECK_CLOSE),
        trade("DELETE", "/api/closes/{close_id}", closes.cancel, op.CANCEL_CLOSE),
        read("/api/accounts", accounts.listing, op.LIST_ACCOUNTS),
        read("/api/accounts/{account_id}/holdings", accounts.holdings, op.HOLDINGS),
        trade("POST", "/api/accounts/{account_id}/reconcile", accounts.reconcile, op.RECONCILE),
        read("/api/stream", stream.open, op.STREAM),
        public("GET", "/healthz", system.healthz, op.HEALTH),
        public("GET", "/readyz", system.readyz, op.READINESS),
        public("GET", "/api/openapi.json", docs.document, op.DESCRIPTION),
        public("GET", "/api/docs", docs.docs, op.DOCS),
    )
