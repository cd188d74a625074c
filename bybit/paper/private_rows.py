"""What the private topics tell of an event, category by category."""

from dataclasses import replace
from typing import assert_never

from ..vocab import Category, PrivateTopic
from .encode import (
    Row,
    execution_frame_row,
    fast_execution_row,
    order_frame_row,
    wallet_row,
)
from .encode_position import Shown, position_frame_row, position_row
from .events import Executed, OrderChanged, PositionChanged, PrivateEvent, WalletChanged
from .model import Position
from .venue import Venue


def rows_of(venue: Venue, event: PrivateEvent) -> list[tuple[PrivateTopic, str, list[Row]]]:
    """The topics an event is told on, each with its category and its rows."""
    match event:
        case OrderChanged(_, order):
            return [(PrivateTopic.ORDER, order.category, [order_frame_row(order)])]
        case PositionChanged(_, position, mark):
            shown = shown_of(venue, position)
            shown = replace(shown, quote=replace(shown.quote, mark=mark))
            return [(PrivateTopic.POSITION, position.category, [position_frame_row(shown)])]
        case Executed(_, executions):
            category = executions[0].category
            fast = [told for e in executions if (told := fast_execution_row(e)) is not None]
            return [
                (PrivateTopic.EXECUTION, category, [execution_frame_row(e) for e in executions]),
                (PrivateTopic.FAST_EXECUTION, category, fast),
            ]
        case WalletChanged(_, valuation):
            return [(PrivateTopic.WALLET, "", [wallet_row(valuation)])]
        case _:
            assert_never(event)


def shown_of(venue: Venue, position: Position) -> Shown:
    """A position at the quote of now."""
    quote = venue.market.quote(position.category, position.symbol)
    liq_price = None
    if position.side is not None and position.category is not Category.OPTION:
        liq_price = venue.engine.liquidation_price(position)
    return Shown(position, quote, liq_price)


def listed_row(venue: Venue, position: Position) -> Row:
    """As in position/list."""
    return position_row(shown_of(venue, position))
