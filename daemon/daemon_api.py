"""A small client of our own HTTP API, for the demo and the smoke test."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from .domain.errors import PositiondError, StoreUnavailable

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class ApiRefused(PositiondError):
    """A problem reply; `code` is the daemon's own."""


class DaemonApi:
    """Requests with a bearer token; StoreUnavailable `daemon-unreachable` without an answer."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def is_ready(self) -> bool:
        try:
            status, _ = await self._call("GET", "/readyz")
        except StoreUnavailable:
            return False
        return status == 200

    async def readiness(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        _, answer = await self._call("GET", "/readyz")
        return [str(reason) for reason in answer.get("reasons", [])]

    async def positions(self, statuses: str = "ACTIVE,CLOSING") -> list[dict[str, Any]]:
        return list((await self.get(f"/api/positions?status={statuses}"))["positions"])

    async def get(self, path: str) -> dict[str, Any]:
        return self._answer(*await self._call("GET", path))

    async def post(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        return self._answer(*await self._call("POST", path, body or {}))

    def _answer(self, status: int, answer: dict[str, Any]) -> dict[str, Any]:
        if status >= 400:
            detail = answer.get("detail") or answer.get("title") or f"HTTP {status}"
            raise ApiRefused(str(answer.get("code", status)), str(detail))
        return answer

    async def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            raise RuntimeError("use it as a context")
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._session.request(method, self._url + path, data=data) as reply:
                return reply.status, dict(orjson.loads(await reply.read()))
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise StoreUnavailable(
                "daemon-unreachable", f"the daemon at {self._url} does not answer: {error}"
            ) from error
