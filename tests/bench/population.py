"""Many accounts with legs in every category, on an exchange and in a database that others run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.vocab import Category, ContractType
from positiond.daemon.domain.model import Account, Credentials, Environment
from positiond.daemon.domain.people import User
from positiond.store.store import Store

_BALANCES = {"USDT": "1000000", "USDC": "1000000", "BTC": "1", "ETH": "10"}
_AT_ONCE = 8
_DAY_MS = 86_400_000
# Of each kind so many instruments, so that accounts differ and prices come for many.
_VARIETY = 12
_LEG_VALUE = 30
_INSERT_LEG = """
INSERT INTO position_components
    (position_id, category, symbol, side, expected_quantity, entry_price)
VALUES ($1, $2, $3, $4, $5, $6)
"""


@dataclass(frozen=True, slots=True)
class Leg:
    instrument: Instrument
    side: str

    @property
    def quantity(self) -> Decimal:
        """The fewest steps that are worth an order; a contract of inverse is worth a dollar."""
        i = self.instrument
        if i.is_inverse:
            return max(i.min_qty, Decimal(_LEG_VALUE))
        if i.option is not None:
            return i.min_qty
        steps = Decimal(_LEG_VALUE) / i.price / i.step
        return max(i.min_qty, steps.to_integral_value(ROUND_UP) * i.step)


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """One account on both sides, with the positions that were recorded for it."""

    account: Account
    uid: str
    positions: tuple[UUID, UUID]


async def populate(
    exchange_url: str, database_url: str, store: Store, user: User, accounts: int
) -> list[Inhabitant]:
    """Accounts with six legs each, bought on the exchange and recorded by SQL as two positions."""
    kinds = _kinds()
    gate = asyncio.Semaphore(_AT_ONCE)
    async with (
        aiohttp.ClientSession(base_url=exchange_url) as http,
        asyncpg.create_pool(database_url, min_size=1, max_size=_AT_ONCE) as pool,
    ):

        async def one(number: int) -> Inhabitant:
            async with gate:
                return await _settle(http, pool, store, user, kinds, number)

        return list(await asyncio.gather(*(one(number) for number in range(accounts))))


async def _settle(
    http: aiohttp.ClientSession,
    pool: asyncpg.Pool,
    store: Store,
    user: User,
    kinds: Sequence[Sequence[Instrument]],
    number: int,
) -> Inhabitant:
    label = f"book {number}"
    made = await _control(http, "accounts", label=label, balances=_BALANCES)
    account = await store.accounts.add(
        user.id, label, Environment.PAPER, Credentials(made["key"], made["secret"])
    )
    legs = _legs(kinds, number)
    entries = [await _buy(http, made["uid"], leg) for leg in legs]
    async with pool.acquire() as connection, connection.transaction():
        halves = []
        for name, half in (("futures", slice(0, 3)), ("coins", slice(3, 6))):
            position_id = await connection.fetchval(
                "INSERT INTO synthetic_positions (account_id, name) VALUES ($1, $2) RETURNING id",
                account.id,
                f"{label} {name}",
            )
            await connection.executemany(
                _INSERT_LEG, list(_rows(position_id, legs[half], entries[half]))
            )
            halves.append(position_id)
    return Inhabitant(account, made["uid"], (halves[0], halves[1]))


def _rows(
    position_id: UUID, legs: Iterable[Leg], entries: Iterable[Decimal]
) -> Iterable[tuple[object, ...]]:
    for leg, entry in zip(legs, entries, strict=True):
        i = leg.instrument
        yield position_id, i.category.value, i.symbol, leg.side, leg.quantity, entry


async def _buy(http: aiohttp.ClientSession, uid: str, leg: Leg) -> Decimal:
    done = await _control(
        http,
        "trade",
        account=uid,
        category=leg.instrument.category.value,
        symbol=leg.instrument.symbol,
        side=leg.side,
        qty=str(leg.quantity),
    )
    assert Decimal(done["order"]["cumExecQty"]) == leg.quantity, done
    return Decimal(done["order"]["avgPrice"])


async def _control(http: aiohttp.ClientSession, name: str, **body: object) -> Mapping[str, Any]:
    async with http.post(f"/_paper/{name}", json=body) as reply:
        answer: Mapping[str, Any] = await reply.json()
        assert reply.status == 200, (body, answer)
        return answer


def _legs(kinds: Sequence[Sequence[Instrument]], number: int) -> list[Leg]:
    """Two USDT perpetuals against each other, inverse; USDC, a coin and an option."""
    usdt, usdc, inverse, spot, option = (kind[number % len(kind)] for kind in kinds)
    other = kinds[0][(number + 1) % len(kinds[0])]
    return [
        Leg(usdt, "Buy"),
        Leg(other, "Sell"),
        Leg(inverse, "Buy"),
        Leg(usdc, "Sell"),
        Leg(spot, "Buy"),
        Leg(option, "Buy"),
    ]


def _kinds() -> tuple[list[Instrument], ...]:
    now_ms = int(time.time() * 1000)
    listing = default_listing(now_ms)

    def perpetual(kind: ContractType, settle: str = "") -> list[Instrument]:
        category = Category.INVERSE if kind is ContractType.INVERSE_PERPETUAL else Category.LINEAR
        found = [i for i in listing.of(category) if i.contract_type is kind]
        return [i for i in found if i.settle == (settle or i.settle)][:_VARIETY]

    spot = [i for i in listing.of(Category.SPOT) if i.quote == "USDT"][:_VARIETY]
    # Near the money and not about to expire: what trades.
    options = [
        i
        for i in listing.of(Category.OPTION)
        if i.settle == "USDT" and (i.delivery_ms or 0) > now_ms + 2 * _DAY_MS
    ]
    return (
        perpetual(ContractType.LINEAR_PERPETUAL, "USDT"),
        perpetual(ContractType.LINEAR_PERPETUAL, "USDC"),
        perpetual(ContractType.INVERSE_PERPETUAL),
        spot,
        options[8:32:2],
    )
