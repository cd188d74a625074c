"""Where one row plays: an account of its own, deeds of the venue's, and what a page then shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from positiond.bybit.paper.server import PaperServer

from tests.e2e.scenarios.contracts import SIGN, Leg, plain
from tests.e2e.scenarios.machine import Moment, moment
from tests.e2e.scenarios.watch import Sees, Shown, Watch
from tests.e2e.world import Trader, eventually

AFTER_LAST: Final = 5.0
AFTER_FIRST: Final = 12.0
# Beyond this nobody waits any more; what came in time is judged by the clock.
_PATIENCE: Final = 16.0
_SAMPLED_EVERY: Final = 0.05
IN_SYNC: Final = "in_sync"


@dataclass
class Stage:
    """`changed_at` are the moments at which a size changed, by the venue's answers."""

    trader: Trader
    paper: PaperServer
    watch: Watch
    changed_at: list[Moment] = field(default_factory=list)
    flagged_after: list[float] = field(default_factory=list)

    # --- the venue --------------------------------------------------------------------------

    def venue(self, name: str, verb: str = "POST", **body: Any) -> dict[str, Any]:
        """An operation of the paper exchange on this account that changes no recorded size."""
        return self.paper.control(name, verb, account=self.trader.paper.uid, **body)

    def change(self, name: str, leg: Leg, **body: Any) -> dict[str, Any]:
        """An operation that changes the size of the leg."""
        where: dict[str, Any] = {"category": leg.category, "symbol": leg.symbol}
        if leg.idx:
            where["position_idx"] = leg.idx
        answer = self.venue(name, **where, **body)
        self.note_change()
        return answer

    def note_change(self) -> None:
        """A size has just changed."""
        self.changed_at.append(moment())

    def trade(self, leg: Leg, side: str, quantity: str, **terms: Any) -> dict[str, Any]:
        """By hand, all of it filled."""
        answer = self.change("trade", leg, side=side, qty=quantity, **terms)
        order = answer["order"]
        assert Decimal(order["cumExecQty"]) == Decimal(quantity), order
        return answer

    def hold(self, leg: Leg) -> str:
        """Bought or sold by hand; its average price."""
        price = self.trade(leg, leg.side, leg.quantity)["order"]["avgPrice"]
        if leg.category == "spot":
            coin = leg.symbol.removesuffix("USDT")
            # The fee was taken in the coin: the wallet gets what it lacks of the whole quantity.
            wallet = self.paper.books.wallet(self.trader.paper.uid, coin).balance
            self.venue("deposit", coin=coin, amount=plain(Decimal(leg.quantity) - wallet))
        self.changed_at.clear()
        return str(price)

    @asynccontextmanager
    async def fault(self, kind: str, **spec: Any) -> AsyncIterator[int]:
        """A fault of this account alone, taken back at the end."""
        ident = int(self.venue("faults", kind=kind, **spec)["id"])
        try:
            yield ident
        finally:
            self.paper.control("faults", "DELETE", id=ident)

    def fired(self, ident: int) -> int:
        rows = self.paper.control("faults", "GET")["faults"]
        return int(next(row["fired"] for row in rows if row["id"] == ident))

    async def struck(self, ident: int) -> None:
        """Until the fault has: what is compared after that has met it."""

        async def has() -> bool:
            return self.fired(ident) >= 1

        await eventually(has, _PATIENCE, "the fault strikes")

    # --- positions --------------------------------------------------------------------------

    async def record(self, name: str, *legs: Leg, price: str | None = None) -> str:
        """Recorded as held, at the price or at what the paper exchange took; its id."""
        rows = [_component(leg, price or self.hold(leg)) for leg in legs]
        return str((await self.trader.record(name, *rows))["id"])

    async def recorded(self, *legs: Leg, name: str = "held") -> str:
        """Held, recorded and found in sync."""
        position_id = await self.record(name, *legs)
        await self.in_sync(position_id)
        return position_id

    async def in_sync(self, position_id: str) -> None:
        await self.until(position_id, lambda p: p["verdict"] == IN_SYNC, "in sync")

    async def until(self, position_id: str, sees: Sees, what: str) -> float:
        return await self.watch.until(position_id, sees, _PATIENCE, what)

    async def detail(self, position_id: str) -> Shown:
        return await self.trader.position(position_id)

    async def resolve(self, position_id: str, action: str) -> tuple[int, Any]:
        status, answer, _ = await self.trader.post(
            f"/api/positions/{position_id}/resolve", {"action": action}
        )
        return status, answer

    # --- what has to be so ------------------------------------------------------------------

    async def flagged(self, position_id: str, actual: str, *, symbol: str = "") -> Shown:
        """Altered with this size (unsigned, in the leg's own direction), in time."""

        def sees(shown: Shown) -> bool:
            leg = leg_of(shown, symbol)
            is_so = leg["actual"] is not None and Decimal(leg["actual"]) == Decimal(actual)
            return bool(shown["is_altered"]) and shown["verdict"] == "altered" and is_so

        first, last = self.changed_at[0], self.changed_at[-1]
        seen = moment(await self.until(position_id, sees, f"Altered with {actual} left"))
        self.flagged_after.append(seen.at - last.at)
        after = seen.since(last)
        assert after <= AFTER_LAST, f"flagged {after:.2f} s after the last change"
        after = seen.since(first)
        assert after <= AFTER_FIRST, f"flagged {after:.2f} s after the first change"
        return self.watch.page.positions[position_id]

    async def explained(
        self, position_id: str, leg: Leg, actual: str, kind: str, *words: str
    ) -> dict[str, Any]:
        """The open deviation of the leg's bucket, once its cause is told."""

        async def told() -> dict[str, Any] | None:
            rows = open_deviations(await self.detail(position_id), leg)
            return next((row for row in rows if row["cause_kind"] == kind), None)

        try:
            row = dict(await eventually(told, 10, f"a cause of the kind {kind}", every=0.2))
        except AssertionError as error:
            rows = (await self.detail(position_id))["deviations"]
            raise AssertionError(f"{error}; on record: {rows}") from None
        for word in words:
            assert word in row["cause"], f"{word!r} is not in the cause: {row['cause']}"
        signed = SIGN[leg.side] * Decimal(actual)
        assert Decimal(row["actual"]) == signed, row
        assert Decimal(row["expected"]) - Decimal(row["actual"]) == -Decimal(row["difference"])
        assert row["kind"] == kind_of(Decimal(row["expected"]), signed), row
        assert _time(row["first_seen"]) <= _time(row["last_verified"])
        return row

    async def settled(self, position_id: str, deviation_id: int) -> dict[str, Any]:
        """In sync again, and the deviation has its end on record."""
        await self.in_sync(position_id)
        shown = await self.detail(position_id)
        assert not shown["is_altered"]
        row = next(row for row in shown["deviations"] if row["id"] == deviation_id)
        assert row["ended_at"] is not None
        assert _time(row["ended_at"]) >= _time(row["first_seen"])
        return dict(row)

    @asynccontextmanager
    async def nothing_shown(self, *position_ids: str) -> AsyncIterator[None]:
        """Whatever happens inside, the verdict of these is In sync at every moment."""
        before = {one: len(self.watch.verdicts[one]) for one in position_ids}
        sampler = asyncio.create_task(self._sample(position_ids))
        try:
            yield
        finally:
            sampler.cancel()
            await asyncio.wait([sampler])
        if not sampler.cancelled():
            sampler.result()
        for one, count in before.items():
            told = self.watch.verdicts[one][count:]
            assert told == [], f"the verdict went through {told}"

    async def _sample(self, position_ids: tuple[str, ...]) -> None:
        while True:
            for one in position_ids:
                shown = await self.detail(one)
                assert (shown["verdict"], shown["is_altered"]) == (IN_SYNC, False), shown
            await asyncio.sleep(_SAMPLED_EVERY)

    async def compared(self, position_id: str) -> None:
        """Until a compare that began after now has come to its verdict."""
        since = datetime.now().astimezone()

        def sees(shown: Shown) -> bool:
            at = shown["verified_at"]
            return at is not None and _time(at) > since

        await self.until(position_id, sees, "compared once more")


def leg_of(shown: Shown, symbol: str = "") -> dict[str, Any]:
    """The component of that symbol, or the only one."""
    return next(dict(c) for c in shown["components"] if symbol in ("", c["symbol"]))


def open_deviations(shown: Shown, leg: Leg) -> list[dict[str, Any]]:
    coin = leg.symbol.removesuffix("USDT") if leg.category == "spot" else leg.symbol
    return [
        row
        for row in shown["deviations"]
        if row["ended_at"] is None and (row["symbol"], row["position_idx"]) == (coin, leg.idx)
    ]


def kind_of(expected: Decimal, actual: Decimal) -> str:
    if expected * actual < 0:
        return "flipped"
    return "missing" if abs(actual) < abs(expected) else "surplus"


def _component(leg: Leg, price: str) -> dict[str, str]:
    return {
        "category": leg.category,
        "symbol": leg.symbol,
        "side": leg.side,
        "quantity": leg.quantity,
        "entry_price": price,
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
