"""The daemon's way from a frame to P&L beside the reference script, over the same frames."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from positiond.bybit import translate
from positiond.bybit.oddities import Oddities
from positiond.bybit.session import StreamSession
from positiond.bybit.wire_market import read_instrument
from positiond.bybit.wire_stream import Push, read_ticker_frame
from positiond.daemon.board import Board
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.model import Booked, Category, Component, Environment, Position, Side
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.views import PositionView
from positiond.daemon.pulse import Pulse
from positiond.daemon.timing import Timing

from ...builders import component, position
from ...captures.corpus import Held, Leg
from ...captures.reference import Reference

PAPER = Environment.PAPER
# Some moment of the recording's day: before every delivery in it.
THEN = datetime(2025, 10, 9, 9, 0, tzinfo=UTC)

# What a position is worth: currency, price P&L, fees, funding, realized, net, and each leg's P&L.
Worth = tuple[str, tuple[Decimal | None, ...], tuple[Decimal | None, ...]]


class Daemon:
    """Stream session, wire parser, translation, book and board as the daemon strings them up."""

    def __init__(self, rows: Iterable[dict[str, Any]], positions: Iterable[Held]) -> None:
        portfolio, self.book = Portfolio(), Book()
        timing = Timing(lambda: THEN, time.monotonic, Pulse(time.monotonic))
        # Only closed positions would be read from a store.
        store: Any = None
        self.board = Board(self.book, portfolio, store, store, timing, 5)
        self.held = {held.name: _position(held) for held in positions}
        for one in self.held.values():
            portfolio.put(one)
            self.book.put(one)
        self.book.learn(
            translate.instrument(read_instrument(row), PAPER, Category(row["category"]))
            for row in rows
        )
        self._sessions = {
            category: StreamSession(
                topics=frozenset(f"tickers.{s}" for s in self.book.symbols(PAPER, category)),
                oddities=Oddities(),
            )
            for category in Category
        }

    def take(self, category: str, text: str) -> None:
        for event in self._sessions[Category(category)].receive(text, 0.0):
            assert isinstance(event, Push), event
            ticker = read_ticker_frame(event.message)
            self.book.tick(translate.price_tick(ticker, PAPER, Category(category)))

    def lose(self, category: str) -> None:
        self.book.lose(PAPER, Category(category))

    def view(self, held: Held) -> PositionView:
        return self.board.live_view(self.held[held.name].id)

    def worth(self, held: Held) -> Worth:
        view = self.view(held)
        assert (view.unrealized_pnl is None) is (view.pnl_incomplete is not None)
        parts = (view.unrealized_pnl, view.fees, view.funding, view.realized_pnl, view.net_pnl)
        return view.pnl_currency, parts, tuple(leg.unrealized_pnl for leg in view.legs)


def worth_by(reference: Reference, held: Held) -> Worth:
    parts = (reference.total(held), *reference.booked(held), reference.net(held))
    return reference.currency(held), parts, tuple(map(reference.leg, held.legs))


def both(
    daemon: Daemon, reference: Reference, positions: Iterable[Held]
) -> Iterator[tuple[str, Worth, Worth]]:
    """Name of each position, and what the two make of it."""
    for held in positions:
        yield held.name, daemon.worth(held), worth_by(reference, held)


def _position(held: Held) -> Position:
    booked = tuple(Booked(row[0], *map(Decimal, row[1:])) for row in held.booked)
    made = position(*(_component(held, leg) for leg in held.legs), name=held.name)
    return replace(made, booked=booked)


def _component(held: Held, leg: Leg) -> Component:
    return component(
        leg.quantity,
        Side(leg.side),
        leg.symbol,
        of=held.name,
        closed=leg.closed,
        entry=leg.entry,
        category=Category(leg.category),
    )
