"""What the exchange's streams tell: values handed to a sink, one call per event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .model import AccountId, Category, Environment, Fill, Holding, InstrumentKey, OrderReport


@dataclass(frozen=True, slots=True)
class PriceTick:
    """A ticker frame: only the prices that the frame carried; None means unchanged.

    `at` is the server's stamp of the frame. `is_snapshot` replaces what was known before.
    """

    key: InstrumentKey
    mark: Decimal | None
    last: Decimal | None
    index: Decimal | None
    at: datetime
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class MarketFeedUp:
    """The public stream is connected and subscribed."""

    environment: Environment
    category: Category


@dataclass(frozen=True, slots=True)
class MarketFeedDown:
    environment: Environment
    category: Category
    reason: str


@dataclass(frozen=True, slots=True)
class HoldingSeen:
    """A private position row; pushed by Bybit even when the size did not change."""

    account_id: AccountId
    holding: Holding


@dataclass(frozen=True, slots=True)
class WalletSeen:
    """A private wallet row, told after its coins: what it leaves out may be at zero."""

    account_id: AccountId
    coins: frozenset[str]


@dataclass(frozen=True, slots=True)
class FillSeen:
    account_id: AccountId
    fill: Fill


@dataclass(frozen=True, slots=True)
class OrderSeen:
    account_id: AccountId
    order: OrderReport


@dataclass(frozen=True, slots=True)
class AccountFeedUp:
    """The private stream is authenticated and subscribed: what happened before it is unknown."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class AccountFeedDown:
    account_id: AccountId
    reason: str


MarketEvent = PriceTick | MarketFeedUp | MarketFeedDown
AccountEvent = HoldingSeen | WalletSeen | FillSeen | OrderSeen | AccountFeedUp | AccountFeedDown

# Sinks are plain calls: the tick path has no queue and no task switch of its own.
MarketSink = Callable[[MarketEvent], None]
AccountSink = Callable[[AccountEvent], None]
