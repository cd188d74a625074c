"""A small signed client of the tests' own: neither the product's client nor an SDK."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperAccount, PaperServer
from yarl import URL


def sign(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


class Client:
    """Speaks for one account; `get` takes the query as it should stand on the wire."""

    def __init__(
        self, http: aiohttp.ClientSession, paper: PaperServer, account: PaperAccount
    ) -> None:
        self.http, self.paper, self.account = http, paper, account
        self.offset_ms = 0

    def signed(self, tail: str) -> dict[str, str]:
        stamp = str(int(time.time() * 1000) + self.offset_ms)
        return {
            "X-BAPI-API-KEY": self.account.key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(self.account.secret, f"{stamp}{self.account.key}5000{tail}"),
        }

    async def get(self, path: str, query: str = "") -> dict[str, Any]:
        url = URL(f"{self.paper.url}{path}?{query}", encoded=True)
        async with self.http.get(url, headers=self.signed(query)) as response:
            return dict(await response.json() or {})

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        text = json.dumps(body)
        headers = self.signed(text) | {"Content-Type": "application/json"}
        async with self.http.post(self.paper.url + path, data=text, headers=headers) as response:
            return dict(await response.json() or {})

    async def market(self, side: str, qty: str, **more: Any) -> dict[str, Any]:
        """A BTCUSDT market order."""
        body = {"category": "linear", "symbol": "BTCUSDT", "side": side, "qty": qty}
        return await self.post("/v5/order/create", **body, orderType="Market", **more)

    async def control(self, verb: str, name: str, **body: Any) -> dict[str, Any]:
        url = f"{self.paper.url}/_paper/{name}"
        async with self.http.request(verb, url, data=json.dumps(body)) as response:
            return dict(await response.json()) | {"status": response.status}

    def auth(self) -> dict[str, Any]:
        expires = int(time.time() * 1000) + 10_000
        signature = sign(self.account.secret, f"GET/realtime{expires}")
        return {"op": "auth", "args": [self.account.key, expires, signature]}

    async def stream_auth(self) -> dict[str, Any]:
        """The reply to `auth` on a connection of its own."""
        async with self.http.ws_connect(self.paper.url + "/v5/private") as socket:
            return await Stream(socket).ask(**self.auth())

    async def stream(self, *topics: str, account: bool = True) -> "Stream":
        """The private stream (or linear's public one), subscribed."""
        path = "/v5/private" if account else "/v5/public/linear"
        stream = Stream(await self.http.ws_connect(self.paper.url + path))
        if account:
            await stream.ask(**self.auth())
        await stream.ask(op="subscribe", args=list(topics))
        return stream


class Stream:
    """A WebSocket that keeps every frame it has seen."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and returns the next frame that is not a push."""
        await self.socket.send_str(json.dumps(request))
        return await self.next(lambda frame: "topic" not in frame)

    async def next(
        self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The next frame that is wanted, within five seconds."""
        while True:
            frame = json.loads(await self.socket.receive_str(timeout=5))
            self.frames.append(frame)
            if wanted(frame):
                return dict(frame)

    async def pushed(self, topic: str) -> dict[str, Any]:
        return await self.next(lambda frame: frame.get("topic") == topic)


async def until(check: Callable[[], Awaitable[Any]], seconds: float = 5) -> Any:
    """Polls until `check` gives something true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := await check():
            return found
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.05)  # well below the rate limits
