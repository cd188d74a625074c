"""What the exchange tells: each event holds the state of its own moment."""

from dataclasses import dataclass
from decimal import Decimal

from .model import Execution, Order, Position, Uid
from .quotes import Quote
from .valuation import Valuation


@dataclass(frozen=True, slots=True)
class QuotesChanged:
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class OrderChanged:
    uid: Uid
    order: Order


@dataclass(frozen=True, slots=True)
class Executed:
    uid: Uid
    executions: tuple[Execution, ...]


@dataclass(frozen=True, slots=True)
class PositionChanged:
    uid: Uid
    position: Position
    mark: Decimal


@dataclass(frozen=True, slots=True)
class WalletChanged:
    uid: Uid
    valuation: Valuation


PrivateEvent = OrderChanged | Executed | PositionChanged | WalletChanged
Event = QuotesChanged | PrivateEvent


@dataclass(frozen=True, slots=True)
class Told:
    """An event and when it is told, in milliseconds of the exchange's clock."""

    at_ms: int
    event: Event
