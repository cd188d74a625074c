"""What changes no size, or only by our own doing, is never shown: sampled every 50 ms."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from typing import Any, Final

from tests.e2e.exchange import sdk
from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Leg
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.table import Row, Story
from tests.e2e.world import eventually

# Funding is paid to everybody who holds the symbol: these are held by one row each.
_FUNDED: Final = Leg("linear", "FILUSDT", "Buy", "30")
_FUNDED_INVERSE: Final = Leg("inverse", "XRPUSD", "Sell", "500")
_FUNDED_HEDGE: Final = Leg("linear", "AAVEUSDT", "Buy", "40", 1)
_SETTLED: Final = Leg("linear", "ETHPERP", "Buy", "2")
_RATE: Final = "0.0004"


async def orders_come_and_go(stage: Stage, leg: Leg, price: str, worse: str) -> None:
    """Placed, amended and cancelled, with a change of leverage: pushes of an unchanged size."""
    position_id = await stage.recorded(leg)
    async with stage.nothing_shown(position_id):
        await asyncio.to_thread(_place_amend_cancel, stage, leg, price, worse)
        await _witnessed(stage)


def _place_amend_cancel(stage: Stage, leg: Leg, price: str, worse: str) -> None:
    which = {"category": leg.category, "symbol": leg.symbol}
    terms: dict[str, Any] = {"orderType": "Limit", "qty": leg.part("0.2"), "timeInForce": "GTC"}
    if leg.category == "option":
        terms["orderLinkId"] = f"mine-{stage.trader.paper.uid}"
    with sdk(stage.paper.url, stage.trader.paper) as session:
        side = c.OTHER[leg.side]
        made = session.place_order(**which, **terms, side=side, price=price)
        found = {**which, "orderId": made["result"]["orderId"]}
        while not session.get_open_orders(**which)["result"]["list"]:
            pass  # acknowledged before it is booked; the row's own limit ends this
        session.amend_order(**found, price=worse)
        session.cancel_order(**found)
        if leg.category != "option":
            session.set_leverage(**which, buyLeverage="7", sellLeverage="7")


async def _witnessed(stage: Stage) -> None:
    """Until a change that came after all pushes has been found: they had their effect by then."""
    witness = await stage.record("witness", Leg("linear", "DOGEUSDT", "Buy", "1000"))
    await stage.in_sync(witness)


async def funding(stage: Stage) -> None:
    """Paid on the whole bucket, split by share; the trader's own part is nobody's."""
    stage.hold(Leg("linear", _FUNDED.symbol, "Buy", "10"))
    first = await stage.recorded(_FUNDED, name="first")
    second = await stage.recorded(Leg("linear", _FUNDED.symbol, "Buy", "20"), name="second")
    async with stage.nothing_shown(first, second):
        (paid,) = stage.paper.control("fund", symbol=_FUNDED.symbol, rate=_RATE)["executions"]
        assert (paid["execType"], paid["execQty"]) == ("Funding", "60"), paid
        fee = Decimal(paid["execFee"])
        assert fee > 0, "a long pays at a positive rate"
        await _booked(stage, first, -fee * 30 / 60)
        await _booked(stage, second, -fee * 20 / 60)


async def _booked(stage: Stage, position_id: str, amount: Decimal) -> None:
    async def is_booked() -> bool:
        shown = Decimal((await stage.detail(position_id))["funding"])
        return shown != 0 and abs(shown - amount) <= Decimal("1e-15")

    await eventually(is_booked, 8, f"{amount} of funding is booked", every=0.2)


async def inverse_funding(stage: Stage) -> None:
    position_id = await stage.recorded(_FUNDED_INVERSE)
    async with stage.nothing_shown(position_id):
        (paid,) = stage.paper.control("fund", symbol=_FUNDED_INVERSE.symbol, rate=_RATE)[
            "executions"
        ]
        assert Decimal(paid["execFee"]) < 0, "a short receives at a positive rate"

        async def is_booked() -> bool:
            booked = (await stage.detail(position_id))["booked"]
            return any(
                one["coin"] == "XRP" and Decimal(one["funding"]) == -Decimal(paid["execFee"])
                for one in booked
            )

        await eventually(is_booked, 8, "the funding is booked in the coin", every=0.2)


async def hedge_funding(stage: Stage) -> None:
    """Each side has its own row, and pays or receives by itself."""
    stage.venue("mode", symbol=_FUNDED_HEDGE.symbol, mode="hedge")
    long = await stage.recorded(_FUNDED_HEDGE, name="long")
    short = await stage.recorded(Leg("linear", _FUNDED_HEDGE.symbol, "Sell", "25", 2), name="short")
    async with stage.nothing_shown(long, short):
        paid = stage.paper.control("fund", symbol=_FUNDED_HEDGE.symbol, rate=_RATE)["executions"]
        fees = {row["side"]: Decimal(row["execFee"]) for row in paid}
        await _booked(stage, long, -fees["Buy"])
        await _booked(stage, short, -fees["Sell"])


async def session_settlement(stage: Stage) -> None:
    position_id = await stage.recorded(_SETTLED)
    async with stage.nothing_shown(position_id):
        (settled,) = stage.paper.control("settle", symbol=_SETTLED.symbol)["executions"]
        assert settled["execType"] == "SessionSettlePnL"
        await _witnessed(stage)


async def reconnects(stage: Stage, leg: Leg) -> None:
    """The private stream is cut twice; each time everything is read again."""
    position_id = await stage.recorded(leg)
    async with stage.nothing_shown(position_id):
        for _ in range(2):
            assert stage.venue("cut")["cut"] == 1
            await stage.compared(position_id)


async def own_close(stage: Stage, leg: Leg, other: Leg) -> None:
    """One of two positions in one bucket is closed by us: the other never sees an alarm."""
    closing = await stage.recorded(leg, name="closing")
    beside = await stage.recorded(other, name="beside")
    async with stage.nothing_shown(beside):
        await _closed(stage, closing)
        await stage.compared(beside)
        (shown,) = (await stage.detail(beside))["components"]
        assert Decimal(shown["actual"]) == Decimal(other.quantity)
    assert "altered" not in "".join(stage.watch.verdicts[closing]), stage.watch.verdicts[closing]


async def _closed(stage: Stage, position_id: str) -> None:
    status, answer, _ = await stage.trader.post(f"/api/positions/{position_id}/close")
    assert status == 202, answer

    async def is_closed() -> bool:
        return bool((await stage.detail(position_id))["status"] == "CLOSED")

    await eventually(is_closed, 25, "closed", every=0.2)


async def own_close_in_pieces(stage: Stage) -> None:
    """A thin book fills the close in parts, and every push comes twice."""
    leg = Leg("linear", "BTCUSDT", "Buy", "0.5")
    closing = await stage.recorded(leg, name="closing")
    beside = await stage.recorded(Leg("linear", "BTCUSDT", "Buy", "0.2"), name="beside")
    async with (
        stage.nothing_shown(beside),
        stage.fault("half_fill", where="BTCUSDT", count=2),
        stage.fault("frame_duplicate", where="*"),
    ):
        await _closed(stage, closing)
        await stage.compared(beside)


async def own_close_held_up(stage: Stage) -> None:
    """Sold, and not known to be sold for longer than a compare waits after a change of size."""
    leg = c.USDT_LONG.leg
    closing = await stage.recorded(leg, name="closing")
    beside = await stage.recorded(Leg("linear", "BTCUSDT", "Buy", "0.2"), name="beside")
    async with (
        stage.nothing_shown(beside),
        stage.fault("hang", where="/v5/order/create", when="after", ms=20_000) as hung,
        stage.fault("frame_drop", where="order*"),
    ):
        await _closed(stage, closing)
        stage.venue("cut")
        await stage.compared(beside)
        assert stage.fired(hung) == 1
    assert "altered" not in "".join(stage.watch.verdicts[closing]), stage.watch.verdicts[closing]


async def other_symbols(stage: Stage) -> None:
    """What the trader does elsewhere on the account is his own."""
    position_id = await stage.recorded(c.USDT_LONG.leg)
    async with stage.nothing_shown(position_id):
        stage.hold(Leg("linear", "BNBUSDT", "Buy", "3"))
        stage.hold(Leg("linear", "BTCPERP", "Sell", "0.1"))
        stage.hold(Leg("inverse", "BTCUSD", "Sell", "200"))
        stage.venue("deposit", coin="BTC", amount="-1")
        await _witnessed(stage)


async def duplicated_and_late_pushes(stage: Stage) -> None:
    """A hand trade and its undoing, told twice and in another order: in sync at the end."""
    leg = c.USDT_LONG.leg
    position_id = await stage.recorded(leg)
    async with stage.fault("frame_duplicate", where="*"), stage.fault("frame_reorder", where="*"):
        stage.trade(leg, "Sell", "0.2")
        stage.trade(leg, "Buy", "0.2")
        await stage.compared(position_id)
    await stage.in_sync(position_id)
    told = set(stage.watch.verdicts[position_id])
    assert told <= {"unverified", "in_sync"}, told


async def another_symbol_switches_mode(stage: Stage) -> None:
    position_id = await stage.recorded(c.USDT_LONG.leg)
    async with stage.nothing_shown(position_id):
        stage.venue("mode", symbol="SOLUSDT", mode="hedge")
        await _witnessed(stage)


def rows() -> list[Row]:
    half = Leg("linear", "BTCUSDT", "Buy", "0.2")
    far = {
        c.USDT_LONG: ("104000", "104500"),
        c.USDC: ("104000", "104500"),
        c.INVERSE: ("99000", "98500"),
        c.CALL: ("30000", "30005"),
    }
    stories: list[tuple[c.Contract, str, Story]] = [
        *(
            (
                contract,
                "orders are placed, amended and cancelled",
                partial(orders_come_and_go, leg=contract.leg, price=price, worse=worse),
            )
            for contract, (price, worse) in far.items()
        ),
        *(
            (contract, "the private stream is cut", partial(reconnects, leg=contract.leg))
            for contract in (c.USDT_LONG, c.INVERSE, c.CALL, c.SPOT)
        ),
        (c.USDT_LONG, "funding is paid on two positions and the trader's part", funding),
        (c.INVERSE, "funding is received in the coin", inverse_funding),
        (c.HEDGE_LONG, "funding is paid on one side and received on the other", hedge_funding),
        (c.USDC, "the session is settled", session_settlement),
        (
            c.USDT_LONG,
            "we close one of two positions of one direction",
            partial(own_close, leg=c.USDT_LONG.leg, other=half),
        ),
        (
            c.INVERSE,
            "we close one of two positions",
            partial(own_close, leg=c.INVERSE.leg, other=Leg("inverse", "BTCUSD", "Sell", "300")),
        ),
        (
            c.CALL,
            "we close one of two positions",
            partial(
                own_close, leg=c.CALL.leg, other=Leg("option", c.CALL.leg.symbol, "Buy", "0.2")
            ),
        ),
        (c.USDT_LONG, "we close one of two in pieces, each told twice", own_close_in_pieces),
        (c.USDT_LONG, "we close one of two, and the answer hangs", own_close_held_up),
        (c.USDT_LONG, "the trader trades other symbols", other_symbols),
        (
            c.USDT_LONG,
            "a trade and its undoing are told twice and late",
            duplicated_and_late_pushes,
        ),
        (c.USDT_LONG, "another symbol switches its mode", another_symbol_switches_mode),
    ]
    return [Row(one.label, one.mode, happened, story) for one, happened, story in stories]
