"""The demo's cast: two accounts and the positions in them, traded by hand and then recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ..store.store import Store
from .domain.model import (
    Account,
    BucketKey,
    Category,
    Credentials,
    Environment,
    NewComponent,
    NewPosition,
    Side,
    UserId,
)
from .paper_control import Leg, PaperControl

_BUY, _SELL = Side.BUY, Side.SELL
# Fills at several prices have an average with no last digit; nobody quotes beyond this one.
_PRICE_DIGITS: Final = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Part:
    """A position of the cast; `key` is its external id, by which a later start finds it."""

    key: str
    account: str
    name: str
    note: str
    legs: tuple[Leg, ...]


def _leg(symbol: str, side: Side, quantity: str) -> Leg:
    return Leg(symbol, side, Decimal(quantity))


ACCOUNTS: Final = ("Main desk", "Carry desk")

CAST: Final = (
    Part(
        "demo-btc-eth",
        "Main desk",
        "BTC/ETH pair",
        "long bitcoin against ether",
        (_leg("BTCUSDT", _BUY, "0.5"), _leg("ETHUSDT", _SELL, "12")),
    ),
    Part(
        "demo-btc-link",
        "Main desk",
        "BTC/LINK ratio",
        "shares BTCUSDT with the pair above: Bybit holds one size for both",
        (_leg("BTCUSDT", _BUY, "0.2"), _leg("LINKUSDT", _SELL, "900")),
    ),
    Part(
        "demo-basket",
        "Main desk",
        "XRP + ADA over DOGE",
        "three legs",
        (
            _leg("XRPUSDT", _BUY, "4000"),
            _leg("ADAUSDT", _BUY, "9000"),
            _leg("DOGEUSDT", _SELL, "60000"),
        ),
    ),
    Part(
        "demo-sol",
        "Main desk",
        "SOL breakout",
        "a single leg",
        (_leg("SOLUSDT", _BUY, "80"),),
    ),
    Part(
        "demo-eth-btc",
        "Carry desk",
        "ETH/BTC pair",
        "the first pair the other way round, in another account",
        (_leg("ETHUSDT", _BUY, "8"), _leg("BTCUSDT", _SELL, "0.3")),
    ),
    Part(
        "demo-avax-dot",
        "Carry desk",
        "AVAX/DOT pair",
        "somebody will sell part of its DOT by hand",
        (_leg("AVAXUSDT", _SELL, "300"), _leg("DOTUSDT", _BUY, "2500")),
    ),
    Part(
        "demo-ltc-bch-etc",
        "Carry desk",
        "LTC over BCH and ETC",
        "three legs",
        (
            _leg("LTCUSDT", _BUY, "90"),
            _leg("BCHUSDT", _SELL, "8"),
            _leg("ETCUSDT", _SELL, "220"),
        ),
    ),
)

# Held by the trader beside all positions, in a bucket that a position shares: never touched.
OWN_HOLDING: Final = ("Main desk", _leg("SOLUSDT", _BUY, "25"))

ALTERED: Final = next(part for part in CAST if part.key == "demo-avax-dot")
# What the scripted hand trade does: less DOT than recorded.
ALTERATION: Final = _leg("DOTUSDT", _SELL, "1000")


class Casting:
    """Trades the cast on the paper exchange and records it while no daemon runs yet.

    So the first compare finds all of it in sync, and each entry price is that of a true fill.
    """

    def __init__(self, store: Store, control: PaperControl, user_id: UserId) -> None:
        self._store = store
        self._control = control
        self._user_id = user_id

    async def accounts(self, keys: Mapping[str, Credentials]) -> dict[str, Account]:
        """The accounts by label, made on both sides where they are missing."""
        on_file = await self._store.accounts.of_user(self._user_id)
        known = {account.label: account for account in on_file}
        for label, credentials in keys.items():
            await self._control.add_account(label, credentials)
            if label not in known:
                known[label] = await self._store.accounts.add(
                    self._user_id, label, Environment.PAPER, credentials
                )
        return known

    async def perform(self, accounts: Mapping[str, Account]) -> None:
        """Trade and record everything; to be called once on empty books."""
        owner, own = OWN_HOLDING
        own_bucket = _bucket(accounts[owner], own.symbol)
        held = await self._control.trade(accounts[owner].api_key, own)
        for part in CAST:
            account = accounts[part.account]
            components = [await self._traded(account, leg) for leg in part.legs]
            position = NewPosition(account.id, part.name, part.key, tuple(components), part.note)
            touched = {_bucket(account, leg.symbol) for leg in part.legs}
            unassigned = {own_bucket: held.quantity} if own_bucket in touched else {}
            await self._store.positions.record(position, unassigned)

    async def _traded(self, account: Account, leg: Leg) -> NewComponent:
        done = await self._control.trade(account.api_key, leg)
        price = done.price.quantize(_PRICE_DIGITS).normalize()
        return NewComponent(Category.LINEAR, leg.symbol, leg.side, done.quantity, price)


def _bucket(account: Account, symbol: str) -> BucketKey:
    return BucketKey(account.id, Category.LINEAR, symbol, 0)
