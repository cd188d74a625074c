"""Signed and plain calls of V5 REST: reads are retried, a send goes out exactly once.

The query and the body go out as the very bytes that were signed: aiohttp re-quotes a URL given
as text, and a cursor that arrives percent-encoded would no longer match its signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential
from yarl import URL

from ..daemon.domain.errors import (
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
    PositiondError,
)
from . import outcomes, vocab
from .clock import ClockReading, ServerClock, to_ms
from .fields import Raw, WireError, rows
from .limits import Budgets, EndpointBudget
from .oddities import Oddities
from .outcomes import Meaning
from .reply import FORBIDDEN, Reply, TransportFault, read_bounded, read_reply
from .signing import Signer
from .turns import NoRoom, Turnstile
from .wire_market import read_server_time

_log = structlog.get_logger(__name__)

_MOST_PAGES = 1000
_CLOCK_SAMPLES = 3
_JSON = {"Content-Type": "application/json"}

Query = Sequence[tuple[str, str]]


class _TryAgain(Exception):
    """A read failed in a way that another try may mend; `wait` seconds at least."""

    def __init__(self, cause: PositiondError, wait: float = 0.0) -> None:
        super().__init__(cause.detail)
        self.cause = cause
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take (s), and how often a read is tried."""

    read: float = 8.0
    send: float = 5.0
    tries: int = 3
    backoff: wait_base = field(
        default_factory=lambda: wait_random_exponential(multiplier=0.2, max=2.0)
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that may be made several times; `tail` is what a signature covers."""

    url: str
    tail: bytes
    body: bytes | None
    signer: Signer | None
    budget: EndpointBudget | None
    urgent: bool

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    def headers(self, clock: ServerClock) -> Mapping[str, str]:
        typed = {} if self.body is None else _JSON
        signed = self.signer.headers(self.tail, clock.now_ms()) if self.signer else {}
        return {**typed, **signed}


class RestClient:
    """One environment's REST API, shared by all accounts in it."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        *,
        clock: ServerClock,
        turns: Turnstile,
        oddities: Oddities,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        patience: Patience,
    ) -> None:
        self.clock = clock
        self.oddities = oddities
        self._http = http
        self._base_url = base_url
        self._turns = turns
        self._budgets = Budgets()
        self._measuring = asyncio.Lock()
        self._monotonic = monotonic
        self._sleep = sleep
        self._patience = patience

    # --- reads ---------------------------------------------------------------------------

    async def get(
        self, path: str, query: Query = (), *, signer: Signer | None = None, urgent: bool = False
    ) -> Raw:
        """The `result` of a read, tried a few times.

        ExchangeUnreachable, ExchangeBusy, ExchangeRefused or CredentialsRefused.
        """
        # Cursors arrive percent-encoded already and go back as they came.
        tail = "&".join(
            f"{name}={value if name == 'cursor' else quote(value, safe='')}"
            for name, value in query
        )
        url = f"{self._base_url}{path}?{tail}" if tail else f"{self._base_url}{path}"
        budget = self._budget_of(path, query, signer)
        return await self._tried(_Call(url, tail.encode(), None, signer, budget, urgent))

    async def repeatable(self, path: str, body: bytes, signer: Signer, category: str) -> Raw:
        """The `result` of an urgent request that may arrive twice without harm; errors as `get`."""
        budget = self._budgets.of(signer.key, path, category)
        return await self._tried(
            _Call(f"{self._base_url}{path}", body, body, signer, budget, urgent=True)
        )

    async def _tried(self, call: _Call) -> Raw:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._patience.tries),
            wait=self._wait_before_retry,
            retry=retry_if_exception_type(_TryAgain),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            reply: Raw = await retrying(self._try, call)
        except _TryAgain as last:
            raise last.cause from last
        return reply

    def _wait_before_retry(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.wait if isinstance(failure, _TryAgain) else 0.0
        return max(asked, self._patience.backoff(state))

    async def _try(self, call: _Call) -> Raw:
        if call.signer is not None and not self.clock.is_measured:
            await self.measure_clock()
        try:
            reply = await self._in_turn(call)
        except TransportFault as fault:
            raise _TryAgain(self._unreachable(fault.detail)) from fault
        return await self._result_of(reply, call.budget)

    async def _in_turn(self, call: _Call) -> Reply:
        """Ask once there is room; ExchangeBusy if there is none."""
        try:
            async with self._turns.passage(call.budget, urgent=call.urgent):
                # Made when its turn has come: a signature does not outlive a wait in line.
                headers = call.headers(self.clock)
                return await self._exchange(
                    call.method, call.url, call.body, headers, call.budget, self._patience.read
                )
        except NoRoom as full:
            raise self._busy(full.wait, full.said) from full

    async def _result_of(self, reply: Reply, budget: EndpointBudget | None) -> Raw:
        meaning = reply.meaning
        if meaning is Meaning.ACCEPTED:
            return reply.result
        if reply.status == FORBIDDEN:
            raise self._busy(self._turns.pause_left, reply.said)
        if meaning is Meaning.WAIT:
            wait = self.wait_after(reply, budget)
            raise _TryAgain(self._busy(wait, reply.said), wait)
        if meaning is Meaning.AMBIGUOUS:
            raise _TryAgain(self._unreachable(reply.said))
        if meaning is Meaning.CLOCK:
            await self.measure_clock(refused=True)
            raise _TryAgain(
                ExchangeRefused("clock-refused", _clock_detail(reply), ret_code=reply.number)
            )
        if meaning is Meaning.CREDENTIALS:
            raise CredentialsRefused("key-refused", _said(reply), ret_code=reply.number)
        if meaning is Meaning.UNLISTED:
            self.oddities.note(f"retCode {reply.number}", reply.said)
        raise ExchangeRefused("exchange-refused", _said(reply), ret_code=reply.number)

    async def pages(
        self, path: str, query: Query, *, signer: Signer | None = None, urgent: bool = False
    ) -> list[Raw]:
        """The rows of every page; a page that fails fails the whole read."""
        found: list[Raw] = []
        seen: set[str] = set()
        asked = list(query)
        for _ in range(_MOST_PAGES):
            result = await self.get(path, asked, signer=signer, urgent=urgent)
            with reading(path):
                found.extend(rows(result, "list"))
            cursor = result.get("nextPageCursor")
            if not isinstance(cursor, str) or not cursor:
                return found
            if cursor in seen:
                self.oddities.note(f"repeated cursor {path}", "the list ends by repeating itself")
                return found
            seen.add(cursor)
            asked = [*query, ("cursor", cursor)]
        raise ExchangeUnreachable("exchange-unreadable", f"{path} has no last page")

    # --- sends ---------------------------------------------------------------------------

    async def post_once(
        self, path: str, body: bytes, headers: Mapping[str, str], budget: EndpointBudget
    ) -> Reply:
        """Send once. TransportFault where no whole answer came; no other failure."""
        wait = self._turns.take_now(budget)
        if wait > 0:
            raise TransportFault(f"rate limit: {wait:.1f} s to wait", never_left=True)
        typed = {**headers, **_JSON}
        url = f"{self._base_url}{path}"
        return await self._exchange("POST", url, body, typed, budget, self._patience.send)

    def order_budget(self, signer: Signer, category: str) -> EndpointBudget:
        return self._budgets.of(signer.key, vocab.Path.ORDER_CREATE, category)

    def room_in(self, budget: EndpointBudget) -> float:
        """Seconds until one more order fits into both budgets."""
        return self._turns.room_in(budget)

    def retry_at(self, seconds: float) -> datetime:
        """A moment (server time) that many seconds from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    @property
    def pause_left(self) -> float:
        """Seconds that the whole address is still banned for."""
        return self._turns.pause_left

    # --- the clock -----------------------------------------------------------------------

    async def measure_clock(self, *, refused: bool = False) -> None:
        """Ask the server's time a few times; ExchangeUnreachable when it does not say."""
        entered = self._monotonic()
        async with self._measuring:
            if self.clock.measured_at > entered:
                # Somebody else measured it while we waited.
                return
            if refused:
                self.clock.forget()
            for _ in range(_CLOCK_SAMPLES):
                self.clock.observe(await self._read_clock())
        offset = self.clock.offset.total_seconds()
        report = _log.warning if abs(offset) > 1.0 else _log.info
        report("measured Bybit's clock", ahead_of_ours_s=round(offset, 3))

    async def _read_clock(self) -> ClockReading:
        url = f"{self._base_url}{vocab.Path.TIME}"
        try:
            async with self._turns.passage(None, urgent=True):
                asked = self._monotonic()
                reply = await self._exchange("GET", url, None, {}, None, self._patience.read)
        except NoRoom as full:
            raise self._busy(full.wait, full.said) from full
        except TransportFault as fault:
            raise self._unreachable(fault.detail) from fault
        if reply.meaning is not Meaning.ACCEPTED:
            raise self._unreachable(f"no server time: {reply.said}")
        with reading(vocab.Path.TIME):
            stamp = to_ms(read_server_time(reply.result))
        return ClockReading(stamp, asked, self._monotonic())

    # --- one exchange of bytes -----------------------------------------------------------

    async def _exchange(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        budget: EndpointBudget | None,
        timeout: float,
    ) -> Reply:
        asked = self._monotonic()
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                content = await read_bounded(response)
        except aiohttp.ClientConnectorError as error:
            # No connection was made, so nothing can have arrived.
            raise TransportFault(f"no connection: {error}", never_left=True) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransportFault(f"no answer: {type(error).__name__}") from error
        reply, stamp = read_reply(response, content)
        if stamp is not None and self.clock.is_measured:
            self.clock.overhear(ClockReading(stamp, asked, self._monotonic()))
        self._learn(reply, budget)
        return reply

    def _learn(self, reply: Reply, budget: EndpointBudget | None) -> None:
        if reply.status == FORBIDDEN:
            self._turns.pause()
            _log.error("Bybit bans our address for a while", pause_s=self._turns.pause_left)
        if budget is None:
            return
        now = self._monotonic()
        budget.learn(reply.limits, now, self._until_reset(reply))
        if reply.meaning is Meaning.WAIT and reply.code in (outcomes.RATE_CODE, 10018):
            budget.block(now, self._until_reset(reply) or outcomes.USUAL_WAIT)

    def _until_reset(self, reply: Reply) -> float:
        if reply.limits.reset_ms is None:
            return 0.0
        return max(0.0, (reply.limits.reset_ms - self.clock.now_ms()) / 1000.0)

    def wait_after(self, reply: Reply, budget: EndpointBudget | None) -> float:
        """Seconds to wait after a reply whose meaning is WAIT."""
        if reply.status == FORBIDDEN:
            return self._turns.pause_left
        known = 0.0 if budget is None else budget.wait(self._monotonic(), urgent=True)
        return known or outcomes.wait_after(reply.number)

    def _budget_of(self, path: str, query: Query, signer: Signer | None) -> EndpointBudget | None:
        if signer is None:
            return None
        return self._budgets.of(signer.key, path, dict(query).get("category", ""))

    def _busy(self, wait: float, said: str) -> ExchangeBusy:
        return ExchangeBusy(
            "exchange-busy", f"Bybit asks us to wait: {said}", retry_at=self.retry_at(wait)
        )

    @staticmethod
    def _unreachable(said: str) -> ExchangeUnreachable:
        return ExchangeUnreachable("exchange-unreachable", f"Bybit does not answer: {said}")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """All that is made of an answer is made in here, up to the domain's values.

    A row may be well formed and still mean nothing to us, as an order of an unknown status.
    """
    try:
        yield
    except WireError as error:
        raise unreadable(what, error) from error


def unreadable(what: str, error: WireError) -> ExchangeUnreachable:
    """An answer that cannot be understood tells as little as none."""
    return ExchangeUnreachable("exchange-unreadable", f"{what}: {error}")


def _said(reply: Reply) -> str:
    return f"Bybit refused: {reply.said}"


def _clock_detail(reply: Reply) -> str:
    return f"Bybit refused our timestamp, the clocks differ: {reply.said}"
