"""What was acknowledged is there after `kill -9`, and prices go on near where they were."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
from positiond.bybit.paper.model import Uid
from positiond.bybit.paper.server import PaperAccount

from .client import Client, until

SERVE = """
import asyncio, sys
from pathlib import Path
from positiond.bybit.paper.server import PaperOptions, run_paper
options = PaperOptions(port=0, key="k", secret="s", data=Path(sys.argv[1]))
asyncio.run(run_paper(options, lambda url: print(url, flush=True)))
"""


class Child:
    """The exchange as a process of its own; `url` stands in for a PaperServer's."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url

    @classmethod
    async def start(cls, directory: Path, program: str = SERVE, *arguments: str) -> "Child":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", program, str(directory), *arguments),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        return cls(process, line.decode().strip())

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


def client_of(http: aiohttp.ClientSession, child: Child) -> Client:
    account = PaperAccount(Uid("100001"), "k", "s")
    return Client(http, child, account)  # type: ignore[arg-type]  # only its url is used


async def test_acknowledged_orders_survive_kill_9(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    child = await Child.start(tmp_path)
    try:
        alice = client_of(http, child)
        await alice.control("POST", "price", symbol="BTCUSDT", mark="98765.4")
        await alice.control("POST", "trade", account="k", symbol="BTCUSDT", side="Buy", qty="1")
        acked = [
            (await alice.market("Sell", "0.1", reduceOnly=True, orderLinkId=f"c-{n}"))["result"]
            for n in range(5)
        ]
    finally:
        await child.kill()  # at once: the last orders may not even be matched
    child = await Child.start(tmp_path)
    try:
        alice = client_of(http, child)

        async def all_closed() -> bool:
            body = await alice.get("/v5/position/list", "category=linear&symbol=BTCUSDT")
            return bool(body["result"]["list"][0]["size"] in ("0.5", "0.500"))

        await until(all_closed)
        for order in acked:
            query = f"category=linear&orderLinkId={order['orderLinkId']}"
            rows = (await alice.get("/v5/execution/list", query))["result"]["list"]
            assert {row["orderId"] for row in rows} == {order["orderId"]}
        again = await alice.market("Sell", "0.1", reduceOnly=True, orderLinkId="c-0")
        assert again["retCode"] == 110072
        ticker = await alice.get("/v5/market/tickers", "category=linear&symbol=BTCUSDT")
        assert abs(float(ticker["result"]["list"][0]["markPrice"]) / 98765.4 - 1) < 0.02
        state = await alice.control("GET", "state")
        executions = state["executions"]
        assert len({row["exec_id"] for row in executions}) == len(executions)
    finally:
        await child.kill()
