"""A small client of the paper exchange's `/_paper/` control, for the demo and the smoke test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from .domain import money
from .domain.errors import ExchangeRefused, ExchangeUnreachable
from .domain.model import Credentials, Side

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Leg:
    """A quantity of a linear perpetual to buy or sell."""

    symbol: str
    side: Side
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class HandTrade:
    """What a trade by hand came to; the price is the average of its fills."""

    quantity: Decimal
    price: Decimal


class PaperControl:
    """Raises ExchangeUnreachable or ExchangeRefused."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def is_up(self) -> bool:
        try:
            await self._call("GET", "/v5/market/time")
        except ExchangeUnreachable:
            return False
        return True

    async def add_account(self, label: str, credentials: Credentials) -> None:
        """The same key again is the same account."""
        body = {"label": label, "key": credentials.key, "secret": credentials.secret}
        await self._call("POST", "/_paper/accounts", body)

    async def trade(self, key: str, leg: Leg) -> HandTrade:
        """A market order of the account with this key, as from the exchange's own page."""
        body = {
            "account": key,
            "symbol": leg.symbol,
            "side": leg.side.value,
            "qty": money.plain(leg.quantity),
        }
        order = (await self._call("POST", "/_paper/trade", body))["order"]
        return HandTrade(money.parse(order["cumExecQty"]), money.parse(order["avgPrice"]))

    async def _call(
        self, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if self._session is None:
            raise RuntimeError("use it as a context")
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=headers
            ) as reply:
                answer = orjson.loads(await reply.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise ExchangeUnreachable(
                "paper-unreachable", f"the paper exchange at {self._url} does not answer: {error}"
            ) from error
        if "error" in answer:
            code = int(answer.get("code", 0))
            raise ExchangeRefused("paper-refused", str(answer["error"]), ret_code=code)
        return dict(answer)
