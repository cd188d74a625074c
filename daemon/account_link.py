"""One account's connection: a key that is fit for use, and the private stream while it is."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Final, NoReturn

import structlog

from .backoff import Backoff
from .domain.errors import CredentialsRefused, ExchangeRefused, PositiondError
from .domain.events import AccountEvent, AccountFeedDown, AccountFeedUp, AccountSink
from .domain.model import Account, AccountId, Credentials, KeyInfo
from .domain.portfolio import AccountState
from .domain.ports import AccountExchange, Gateway
from .key_rights import forbidden_rights
from .supervise import first_errors
from .timing import Timing
from .together import apart

_log = structlog.get_logger(__name__)

# A wrong key does not get right by asking often, and Bybit counts failures.
_REFUSED_PAUSE: Final = 30.0
# What a key may do can be changed on Bybit at any time, and nothing tells us.
_LOOK_EVERY: Final = 3600.0
_UNANSWERED_PAUSE: Final = 60.0
# The stream opens after the key was looked at: the first time that is no reason to look again.
_JUST_LOOKED: Final = 60.0


class _Unfit(Exception):
    """The key may not be used any more; the text says why."""


class AccountLink:
    """Tells `state` what the key may do, and `exchanges` that the account can be used."""

    def __init__(
        self,
        gateway: Gateway,
        credentials: Credentials,
        state: AccountState,
        exchanges: MutableMapping[AccountId, AccountExchange],
        timing: Timing,
        sink: AccountSink,
    ) -> None:
        self._gateway = gateway
        self._account = state.account
        self._credentials = credentials
        self._state = state
        self._exchanges = exchanges
        self._timing = timing
        self._sink = sink
        self._is_back = asyncio.Event()
        self._fresh_until = float("-inf")

    def serves(self, account: Account, credentials: Credentials) -> bool:
        """Whether it is what the rows ask for: another label is no other account."""
        is_there = account.environment is self._account.environment
        return is_there and credentials == self._credentials

    def look_again(self) -> None:
        """Somebody was refused for what the key may not do: perhaps it may by now."""
        self._is_back.set()

    async def hold(self) -> None:
        """Check the key until Bybit has answered, then hold the private stream; both for ever."""
        try:
            exchange = self._gateway.account(self._account, self._credentials)
        except PositiondError as error:
            # Without an address for its environment the account stays unusable until a restart.
            self._state.trouble = error.detail
            _log.warning(
                "the account is not usable", account=self._account.label, reason=error.detail
            )
            return
        while True:
            await self._until_fit(exchange)
            self._exchanges[self._account.id] = exchange
            why = ""
            try:
                await apart(self._stream(exchange))
            except* _Unfit as unfit:
                # Caught out here: a cancellation that came meanwhile is raised by `apart` alone.
                why = str(first_errors(unfit)[0])
            self._exchanges.pop(self._account.id, None)
            _log.warning("the account is not usable", account=self._account.label, reason=why)
            self._sink(AccountFeedDown(self._account.id, why))

    async def _stream(self, exchange: AccountExchange) -> None:
        """Hold the stream until the key is found unfit."""
        feed = self._gateway.account_feed(self._account, self._credentials)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run(self._on_event))
            group.create_task(self._watch_key(exchange))

    def _on_event(self, event: AccountEvent) -> None:
        if isinstance(event, AccountFeedUp):
            if self._timing.monotonic() > self._fresh_until:
                self._is_back.set()
            self._fresh_until = float("-inf")
        self._sink(event)

    # --- the key ----------------------------------------------------------------------------

    async def _until_fit(self, exchange: AccountExchange) -> None:
        backoff = Backoff(first=0.5, most=_REFUSED_PAUSE)
        while True:
            pause = backoff.next()
            try:
                self._note(await exchange.key_info())
            except CredentialsRefused as error:
                trouble, pause = f"Bybit refuses the API key: {error.detail}", _REFUSED_PAUSE
            except ExchangeRefused as error:
                trouble, pause = f"Bybit refuses: {error.detail}", _REFUSED_PAUSE
            except PositiondError as error:
                trouble = error.detail
            except _Unfit as error:
                trouble, pause = str(error), _REFUSED_PAUSE
            else:
                self._state.trouble = None
                self._fresh_until = self._timing.monotonic() + _JUST_LOOKED
                return
            if trouble != self._state.trouble:
                _log.warning(
                    "the account is not usable", account=self._account.label, reason=trouble
                )
            self._state.trouble = trouble
            await self._timing.sleep(pause)

    async def _watch_key(self, exchange: AccountExchange) -> NoReturn:
        """Look again with every return of the stream, and now and then."""
        pause = _LOOK_EVERY
        while True:
            await self._timing.wait_for(self._is_back, pause)
            self._is_back.clear()
            pause = _LOOK_EVERY
            try:
                self._note(await exchange.key_info())
            except PositiondError:
                # Every read and the stream say the same, and to those whom it concerns.
                pause = _UNANSWERED_PAUSE

    def _note(self, info: KeyInfo) -> None:
        """Raises _Unfit for a key that may move money out."""
        if dangerous := forbidden_rights(info):
            raise _Unfit(f"the API key may {', '.join(dangerous)}; make one without that right")
        if self._state.key_info is not None and self._state.key_info != info:
            _log.info("the API key was changed on Bybit", account=self._account.label)
        self._state.key_info = info
