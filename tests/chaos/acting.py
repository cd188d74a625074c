"""Does what a plan says, at its times: clients, the trader's hand, faults and kills."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Context, Decimal
from typing import Any

import aiohttp
from positiond.bybit.paper.refusals import Refused

from tests.chaos.journal import Answer, RunRecord, now_ms
from tests.chaos.markets import MARKETS
from tests.chaos.plan import Ask, HandTrade, Holding, Rest
from tests.chaos.stage import Stage
from tests.chaos.troubles import Trouble
from tests.e2e.world import eventually

_TRIES_FOR = 60.0
_PLAN_WITHIN = 5.0
_ABOVE, _BELOW = Decimal("1.04"), Decimal("0.96")
_THREE_DIGITS = Context(prec=3)
_TRY_AGAIN = 0.15
_ORDER_WITHIN = 2.0
_LOOK_EVERY = 0.002
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class Acting:
    """Carries out one batch."""

    def __init__(self, stage: Stage, clients: Sequence[aiohttp.ClientSession]) -> None:
        self._stage = stage
        self._clients = clients
        self._began = asyncio.get_running_loop().time()

    async def perform(self) -> None:
        """Everything at its time; returns when all was done, all faults are lifted, and the
        daemon runs again after the last kill."""
        async with asyncio.TaskGroup() as group:
            for record in self._stage.records:
                for act in self._acts(record):
                    group.create_task(act)
            for trouble in self._stage.plan.troubles:
                group.create_task(self._trouble(trouble, None))
            group.create_task(self._kills())

    async def ask(self, record: RunRecord, ask: Ask, *, is_calm: bool = False) -> None:
        """Ask until there is an answer, as a client does who does not know what became of it."""
        await self._at(ask.at)
        headers = {"Idempotency-Key": ask.key} if ask.key else {}
        asked_ms = now_ms()
        path, wish = await self._wish(record, ask)
        status, body = await self._told("POST", path, ask.client, headers, wish)
        told = {row["position_id"]: row["close_id"] for row in _accepted(body)}
        answers = [
            Answer(
                number,
                ask.client,
                ask.key,
                status,
                told.get(str(record.positions[number].id)),
                body.get("code"),
                is_calm,
                body.get("set_id"),
                replace(ask.terms, by_plan="expected_plan" in wish),
                len(ask.positions) > 1,
                asked_ms,
                now_ms(),
            )
            for number in ask.positions
        ]
        record.answers.extend(answers)
        record.say(f"asked to close {ask.positions} by {ask.client}: {wish} {answers}")
        close_id = answers[0].close_id
        if ask.cancel_after is not None and close_id:
            await asyncio.sleep(ask.cancel_after)
            status, body = await self._told("DELETE", f"/api/closes/{close_id}", 0, {}, None)
            record.say(f"cancel of {close_id}: {status} {body.get('code')}")

    async def _wish(self, record: RunRecord, ask: Ask) -> tuple[str, dict[str, Any]]:
        """Where to ask, and in which words; without a plan where none is to be had."""
        terms, wish = ask.terms, dict[str, Any]()
        if terms.slippage:
            wish["slippage"] = terms.slippage
        if terms.cancel_resting:
            wish["cancel_resting"] = True
        ids = [str(record.positions[number].id) for number in ask.positions]
        if len(ids) > 1:
            return "/api/positions/close", {**wish, "position_ids": ids}
        if terms.fraction:
            wish["fraction"] = terms.fraction
        if terms.by_plan:
            query = f"?fraction={terms.fraction}" if terms.fraction else ""
            path = f"/api/positions/{ids[0]}/close-plan{query}"
            status, plan = await self._told("GET", path, ask.client, {}, None, _PLAN_WITHIN)
            record.say(f"plan of {ask.positions}: {status} {plan}")
            if status == 200:
                wish["expected_plan"] = plan["plan_id"]
        return f"/api/positions/{ids[0]}/close", wish

    def _acts(self, record: RunRecord) -> list[Any]:
        plan = record.plan
        return [
            *(self.ask(record, ask) for ask in plan.asks),
            *(self._trade(record, trade) for trade in plan.trades),
            *(self._rest(record, rest) for rest in plan.rests),
            *(self._trouble(trouble, record) for trouble in plan.troubles),
            *(self._cut(record, moment) for moment in plan.cuts),
        ]

    async def _told(
        self,
        verb: str,
        path: str,
        client: int,
        headers: dict[str, str],
        wish: dict[str, Any] | None,
        within: float = _TRIES_FOR,
    ) -> tuple[int, dict[str, Any]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            try:
                async with self._clients[client].request(
                    verb, path, json=wish, headers=headers
                ) as reply:
                    body = await reply.json(content_type=None)
                    if reply.status < 500:
                        return reply.status, dict(body)
            except (aiohttp.ClientError, TimeoutError):
                pass
            if loop.time() > deadline:
                return 0, {"code": "no answer"}
            await asyncio.sleep(_TRY_AGAIN)

    async def _trade(self, record: RunRecord, trade: HandTrade) -> None:
        await self._at(trade.at)
        what = trade.what
        said = f"hand trade {what.side} {what.quantity} {what.symbol} idx {trade.idx}"
        try:
            done = self._stage.paper.control(
                "trade",
                account=record.paper.uid,
                category=MARKETS[what.market].category,
                symbol=what.symbol,
                side=what.side,
                qty=str(what.quantity),
                position_idx=trade.idx,
            )
        except Refused as refused:
            record.say(f"{said}: refused, {refused.message}")
            return
        order = done["order"]
        record.by_hand(done, MARKETS[what.market].category)
        record.say(f"{said}: {order['cumExecQty']}")

    async def _rest(self, record: RunRecord, rest: Rest) -> None:
        await self._at(rest.at)
        what = rest.what
        said = f"limit order {what.side} {what.quantity} {what.symbol} idx {rest.idx}"
        try:
            done = self._stage.paper.control(
                "order",
                account=record.paper.uid,
                category=MARKETS[what.market].category,
                symbol=what.symbol,
                side=what.side,
                qty=str(what.quantity),
                price=f"{_far(record, what):f}",
                position_idx=rest.idx,
                reduce_only=True,
            )
        except Refused as refused:
            record.say(f"{said}: refused, {refused.message}")
            return
        record.by_hand(done, MARKETS[what.market].category)
        record.say(f"{said}: {done['order']['orderStatus']}")

    async def _trouble(self, trouble: Trouble, record: RunRecord | None) -> None:
        """In force for its time; afterwards it is counted how often it struck."""
        await self._at(trouble.at)
        paper = self._stage.paper
        account = {"account": record.paper.uid} if record else {}
        idents = {
            int(paper.control("faults", **spec, **account)["id"]): str(spec["kind"])
            for spec in trouble.specs
        }
        concerned = [record] if record else self._stage.records
        for one in concerned:
            one.say(f"trouble {trouble.name} {[dict(spec) for spec in trouble.specs]}")
        await self._at(trouble.until)
        rows = paper.control("faults", verb="GET")["faults"]
        struck = {idents[row["id"]]: row["fired"] for row in rows if row["id"] in idents}
        for ident in idents:
            paper.control("faults", verb="DELETE", id=ident)
        for kind, fired in struck.items():
            # A skewed clock counts every look at it, which says nothing.
            count = min(fired, 1) if kind == "clock_skew" else fired
            concerned[0].fired[f"{trouble.name}/{kind}"] += count
        for one in concerned:
            one.say(f"no more {trouble.name}: it struck {struck}")

    async def _cut(self, record: RunRecord, moment: float) -> None:
        await self._at(moment)
        count = self._stage.paper.control("cut", account=record.paper.uid)["cut"]
        record.fired["private streams cut"] += count
        record.say(f"{count} private streams cut")

    async def _kills(self) -> None:
        for kill in self._stage.plan.kills:
            await asyncio.sleep(kill.after)
            if kill.on_order:
                await self._next_order()
            await self._stage.daemon.kill()
            for record in self._stage.records:
                record.say("kill -9 of the daemon")
            await self._stage.daemon.start()
            for record in self._stage.records:
                record.say("the daemon answers again")

    async def _next_order(self) -> None:
        """Until the exchange has taken one more order, which the daemon hardly knows yet."""
        orders = self._stage.paper.books.orders
        before = len(orders)

        async def is_there() -> bool:
            return len(orders) > before

        with suppress(AssertionError):
            await eventually(is_there, _ORDER_WITHIN, "an order arrives", every=_LOOK_EVERY)

    async def _at(self, moment: float) -> None:
        await asyncio.sleep(self._began + moment - asyncio.get_running_loop().time())


def _accepted(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The closes that a 202 promises, one or a set's."""
    if "closes" in body:
        return list(body["closes"])
    return [body] if "close_id" in body else []


def _far(record: RunRecord, what: Holding) -> Decimal:
    """A price that the exchange takes, too far off to be met; three digits are on every tick."""
    orders = record.hand_orders.values()
    paid = next(Decimal(o["avgPrice"]) for o in orders if o["symbol"] == what.symbol)
    return _THREE_DIGITS.create_decimal(paid * (_ABOVE if what.side == "Sell" else _BELOW))
