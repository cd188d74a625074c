"""Does what a plan says, at its times: clients, the trader's hand, faults and kills."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
from positiond.bybit.paper.refusals import Refused

from tests.chaos.journal import Answer, RunRecord
from tests.chaos.markets import MARKETS
from tests.chaos.plan import Ask, HandTrade
from tests.chaos.stage import Stage
from tests.chaos.troubles import Trouble
from tests.e2e.world import eventually

_TRIES_FOR = 60.0
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
        position = record.positions[ask.position]
        headers = {"Idempotency-Key": ask.key} if ask.key else {}
        path = f"/api/positions/{position.id}/close"
        wish = {"fraction": ask.fraction} if ask.fraction else {}
        status, body = await self._told("POST", path, ask.client, headers, wish)
        answer = Answer(
            ask.position,
            ask.client,
            ask.key,
            status,
            body.get("close_id"),
            body.get("code"),
            is_calm,
        )
        record.answers.append(answer)
        record.say(f"asked to close {ask.position} by {ask.client} with {ask.key}: {answer}")
        if ask.cancel_after is not None and answer.close_id:
            await asyncio.sleep(ask.cancel_after)
            status, body = await self._told("DELETE", f"/api/closes/{answer.close_id}", 0, {}, None)
            record.say(f"cancel of {answer.close_id}: {status} {body.get('code')}")

    def _acts(self, record: RunRecord) -> list[Any]:
        plan = record.plan
        return [
            *(self.ask(record, ask) for ask in plan.asks),
            *(self._trade(record, trade) for trade in plan.trades),
            *(self._trouble(trouble, record) for trouble in plan.troubles),
            *(self._cut(record, moment) for moment in plan.cuts),
        ]

    async def _told(
        self,
        verb: str,
        path: str,
        client: int,
        headers: dict[str, str],
        wish: dict[str, str] | None,
    ) -> tuple[int, dict[str, Any]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TRIES_FOR
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
