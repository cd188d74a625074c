"""The steps of the smoke test, in their order; each proves one thing the daemon promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from ..bybit.gateway import BybitGateway
from ..http.keys import digest, new_session_key, new_token
from ..http.passwords import hash_password
from .config import Config
from .daemon_api import DaemonApi
from .domain import money
from .domain.events import AccountEvent, AccountFeedDown, AccountFeedUp, MarketEvent, PriceTick
from .domain.model import Account, Category, Credentials, Holding, Instrument, Side
from .domain.orders import Acked, ReduceOnlyOrder
from .domain.people import Scope
from .key_rights import forbidden_rights
from .smoke_report import Report, SmokeFailed
from .storage import database_url, opened_store
from .waiting import poll

Open = Callable[[str, Side, Decimal], Awaitable[None]]
Json = dict[str, Any]

# Above the venue's minimum by this much, so that a falling price does not undercut it.
_MARGIN: Final = Decimal("1.1")
_LINEAR: Final = Category.LINEAR


@dataclass(frozen=True, slots=True)
class World:
    """`open_at_market` is the one thing here that the daemon itself can never do."""

    account: Account
    credentials: Credentials
    config: Config
    gateway: BybitGateway
    open_at_market: Open


@dataclass(frozen=True, slots=True)
class Leg:
    instrument: Instrument
    side: Side
    quantity: Decimal

    @property
    def symbol(self) -> str:
        return self.instrument.key.symbol


class Life:
    """One position from its opening to its close, in an account that is left as it was found."""

    def __init__(self, world: World, symbols: tuple[str, str], report: Report) -> None:
        self._world = world
        self._symbols = symbols
        self._report = report
        self._exchange = world.gateway.account(world.account, world.credentials)
        self._legs: tuple[Leg, ...] = ()

    async def live(self) -> None:
        """SmokeFailed at the first step that does not come out as it must."""
        await self._check_key()
        await self._choose_legs()
        await self._check_private_stream()
        await self._check_flat("account flat in both symbols")
        try:
            async with self._daemon() as api:
                await self._trade(api)
        finally:
            await self._leave_flat()

    # --- before anything is opened ---

    async def _check_key(self) -> None:
        async with self._report.step("key rights") as step:
            info = await self._exchange.key_info()
            if found := forbidden_rights(info):
                raise SmokeFailed("dangerous-key", f"may move money out: {', '.join(found)}")
            if info.read_only:
                raise SmokeFailed("read-only-key", "the key is read-only and cannot close")
            step.note = f"UID {info.uid}"

    async def _choose_legs(self) -> None:
        environment = self._world.account.environment
        async with self._report.step("instruments") as step:
            instruments = []
            for symbol in self._symbols:
                found = await self._world.gateway.instruments(environment, _LINEAR, symbol)
                if not found or not found[0].is_trading:
                    raise SmokeFailed("unknown-symbol", f"{symbol} is not trading there")
                instruments.append(found[0])
            step.note = ", ".join(f"{i.key.symbol} step {i.quantity_step}" for i in instruments)
        async with self._report.step("public tick of both") as step:
            marks = await self._marks()
            step.note = ", ".join(f"{symbol} {mark}" for symbol, mark in sorted(marks.items()))
        first, second = (_smallest(i, marks[i.key.symbol]) for i in instruments)
        # Twice the smallest: one half is sold by hand later, the other closed by the daemon.
        self._legs = (
            Leg(instruments[0], Side.BUY, 2 * first),
            Leg(instruments[1], Side.SELL, second),
        )

    async def _marks(self) -> dict[str, Decimal]:
        feed = self._world.gateway.market_feed(self._world.account.environment, _LINEAR)
        marks: dict[str, Decimal] = {}
        complete = asyncio.Event()

        def sink(event: MarketEvent) -> None:
            if isinstance(event, PriceTick) and event.mark is not None:
                marks[event.key.symbol] = event.mark
            if len(marks) == len(self._symbols):
                complete.set()

        feed.watch(frozenset(self._symbols))
        await _run_until(feed.run(sink), complete)
        return marks

    async def _check_private_stream(self) -> None:
        up = asyncio.Event()
        async with self._report.step("private stream authenticated") as step:

            def sink(event: AccountEvent) -> None:
                if isinstance(event, AccountFeedUp):
                    up.set()
                if isinstance(event, AccountFeedDown):
                    step.note = event.reason

            feed = self._world.gateway.account_feed(self._world.account, self._world.credentials)
            await _run_until(feed.run(sink), up)

    async def _check_flat(self, name: str) -> None:
        async with self._report.step(name) as step:
            for symbol in self._symbols:
                held = await self._held(symbol)
                if held.size:
                    step.note = f"{symbol} {held.signed}"
                    raise SmokeFailed("not-flat", f"{step.note} is held: choose other --symbols")

    # --- the private daemon ---

    @asynccontextmanager
    async def _daemon(self) -> AsyncIterator[DaemonApi]:
        """A daemon of our own in this process, on a database that is deleted afterwards."""
        from .app import serve

        config = self._world.config
        stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
        async with database_url(config):
            token = await self._register()
            async with asyncio.TaskGroup() as group:
                group.create_task(serve(config, ready=url.set_result, stop=stop), name="daemon")
                try:
                    async with self._report.step("daemon started") as step:
                        step.note = await url
                    async with DaemonApi(step.note, token) as api:
                        async with self._report.step("first full compare", within=30):
                            await poll(api.is_ready, bool)
                        yield api
                finally:
                    stop.set()

    async def _register(self) -> str:
        account, token = self._world.account, new_token()
        async with opened_store(self._world.config) as store:
            user = await store.people.add_user("smoke", hash_password(new_session_key()))
            await store.people.create_token(user.id, "smoke", Scope.TRADE, digest(token))
            await store.accounts.add(
                user.id, account.label, account.environment, self._world.credentials
            )
        return token

    # --- the position's life ---

    async def _trade(self, api: DaemonApi) -> None:
        position_id = await self._open_and_record(api)

        async def position() -> Json:
            return await api.get(f"/api/positions/{position_id}")

        async with self._report.step("first P&L tick") as step:
            seen = await poll(position, lambda found: found["unrealized_pnl"] is not None)
            step.note = f"{seen['unrealized_pnl']} {seen['pnl_currency']}"
        async with self._report.step("in sync after a full compare", within=30) as step:
            seen = await poll(position, lambda found: found["verdict"] == "in_sync")
            step.note = f"verified {seen['verified_at']}"
        await self._alter(position)
        await self._close(api, position_id, position)

    async def _open_and_record(self, api: DaemonApi) -> UUID:
        async with self._report.step("two legs opened") as step:
            held = []
            for leg in self._legs:
                await self._world.open_at_market(leg.symbol, leg.side, leg.quantity)
            for leg in self._legs:
                held.append(await self._until_held(leg.symbol, leg.quantity))
            step.note = ", ".join(f"{h.symbol} {h.signed} at {h.entry_price}" for h in held)
        async with self._report.step("position recorded"):
            (account,) = (await api.get("/api/accounts"))["accounts"]
            body = {"account_id": account["id"], "name": "smoke"}
            made = await api.post(
                "/api/positions", body | {"components": [_component(row) for row in held]}
            )
            return UUID(made["id"])

    async def _alter(self, position: Callable[[], Awaitable[Json]]) -> None:
        leg = self._legs[0]
        half = leg.quantity / 2
        async with self._report.step("one leg altered by hand, flagged", within=30) as step:
            await self._world.open_at_market(leg.symbol, leg.side.reverse, half)
            seen = await poll(position, lambda found: bool(found["is_altered"]))
            (row,) = [row for row in seen["components"] if row["symbol"] == leg.symbol]
            step.note = f"{leg.symbol} {row['difference']}"
            if Decimal(row["difference"]) != -half:
                raise SmokeFailed("wrong-difference", f"expected -{half}, shown {step.note}")
            # The execution may be listed later than the size: the cause then comes after the flag.
            seen = await poll(position, lambda found: _cause(found) is not None)
            step.note += f": {_cause(seen)}"

    async def _close(
        self, api: DaemonApi, position_id: UUID, position: Callable[[], Awaitable[Json]]
    ) -> None:
        async with self._report.step("close planned") as step:
            plan = await api.get(f"/api/positions/{position_id}/close-plan")
            step.note = ", ".join(
                f"{leg['symbol']} {leg['quantity']} at about {leg['estimated_price']}"
                for leg in plan["legs"]
            )
            if not plan["can_close"]:
                raise SmokeFailed("cannot-close", f"the plan names blockers: {plan['legs']}")
        async with self._report.step("close accepted") as step:
            accepted = await api.post(
                f"/api/positions/{position_id}/close", {"expected_plan": plan["plan_id"]}
            )
            step.note = str(accepted["close_id"])
        async with self._report.step("closed", within=60) as step:
            seen = await poll(position, lambda found: found["status"] != "CLOSING")
            last = seen["last_close"]
            if seen["status"] != "CLOSED":
                raise SmokeFailed("not-closed", f"{last['state']} {last['code']}: {last}")
            step.note = ", ".join(str(leg["outcome"]) for leg in last["legs"])
        await self._check_flat("flat on the exchange")
        async with self._report.step("realized P&L") as step:
            step.note = f"{seen['realized_pnl']} {seen['pnl_currency']}, fees {seen['fees']}"
            if seen["fees"] is None or Decimal(seen["fees"]) == 0:
                raise SmokeFailed("no-fees", "the fills' fees are not booked")

    # --- leaving ---

    async def _leave_flat(self) -> None:
        """Close what a failed run left of our own; runs after success too and finds nothing."""
        async with self._report.step("account left as found", within=30) as step:
            for symbol in self._symbols:
                held = await self._held(symbol)
                if held.side is not None and held.size:
                    step.note += f"closed a leftover {symbol} {held.signed}; "
                    await self._reduce(held)

    async def _reduce(self, held: Holding) -> None:
        side = Side.SELL if held.side is Side.BUY else Side.BUY
        order = ReduceOnlyOrder(
            _LINEAR, held.symbol, held.position_idx, side, held.size, f"smoke-{uuid4().hex[:24]}"
        )
        outcome = await self._exchange.send(self._exchange.sign(order))
        if not isinstance(outcome, Acked):
            raise SmokeFailed("leftover", f"{held.symbol} {held.signed} is left: {outcome}")
        await self._until_held(held.symbol, Decimal(0))

    async def _held(self, symbol: str) -> Holding:
        rows = await self._exchange.holdings_in(_LINEAR, symbol)
        if len(rows) != 1:
            raise SmokeFailed("hedge-mode", f"{symbol} is in hedge mode: switch it to one-way")
        return rows[0]

    async def _until_held(self, symbol: str, size: Decimal) -> Holding:
        return await poll(lambda: self._held(symbol), lambda held: held.size == size)


def _cause(position: Json) -> str | None:
    """Why the position deviates, once that is known."""
    causes = [deviation["cause"] for deviation in position["deviations"] if deviation["cause"]]
    return "; ".join(causes) or None


def _smallest(instrument: Instrument, mark: Decimal) -> Decimal:
    """The smallest quantity the venue takes for an opening order at about this price."""
    by_value = instrument.min_notional * _MARGIN / mark
    steps = (by_value / instrument.quantity_step).to_integral_value(rounding=ROUND_UP)
    return max(instrument.min_quantity, steps * instrument.quantity_step)


def _component(held: Holding) -> Json:
    if held.side is None or held.entry_price is None:
        raise SmokeFailed("not-open", f"{held.symbol} is flat")
    return {
        "category": _LINEAR.value,
        "symbol": held.symbol,
        "side": held.side.value,
        "quantity": money.plain(held.size),
        "entry_price": money.plain(held.entry_price),
    }


async def _run_until(endless: Awaitable[None], done: asyncio.Event) -> None:
    async def run() -> None:
        await endless

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await done.wait()
        task.cancel()
