"""The streams to Bybit: one task per account and per (environment, category), opened as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from .backoff import Backoff
from .domain.errors import ConfigError, CredentialsRefused, ExchangeRefused, PositiondError
from .domain.events import AccountFeedDown, AccountSink, MarketFeedDown, MarketSink
from .domain.model import Account, AccountId, Category, Credentials, Environment, InstrumentKey
from .domain.portfolio import AccountState, Portfolio
from .domain.ports import AccountExchange, Gateway, MarketFeed
from .timing import Timing

_log = structlog.get_logger(__name__)

# A wrong key does not get right by asking often, and Bybit counts failures.
_REFUSED_PAUSE: Final = 30.0
_FORBIDDEN_RIGHTS: Final = frozenset(
    {"Withdraw", "AccountTransfer", "SubMemberTransfer", "SubMemberTransferList"}
)


class Connections:
    """Opens, keeps and closes the streams; `exchanges` holds the accounts that are usable now."""

    def __init__(
        self,
        gateway: Gateway,
        portfolio: Portfolio,
        exchanges: dict[AccountId, AccountExchange],
        timing: Timing,
        market_sink: MarketSink,
        account_sink: AccountSink,
    ) -> None:
        self._gateway = gateway
        self._portfolio = portfolio
        self._timing = timing
        self._market_sink = market_sink
        self._account_sink = account_sink
        self._feeds: dict[tuple[Environment, Category], MarketFeed] = {}
        self._tasks: dict[AccountId, asyncio.Task[None]] = {}
        self.exchanges = exchanges
        exchanges.clear()

    def are_settled(self) -> bool:
        """Whether every account is usable, or it is known why not."""
        return all(
            account_id in self.exchanges or self._portfolio.accounts[account_id].trouble
            for account_id in self._tasks
        )

    def watch(self, group: asyncio.TaskGroup, keys: Iterable[InstrumentKey]) -> None:
        """Subscribe to exactly these instruments, opening a stream where there is none yet."""
        wanted: dict[tuple[Environment, Category], set[str]] = {}
        for key in keys:
            wanted.setdefault((key.environment, key.category), set()).add(key.symbol)
        for market in wanted.keys() - self._feeds.keys():
            try:
                feed = self._gateway.market_feed(*market)
            except PositiondError as error:
                # No address for this environment: tried again with the next look.
                self._market_sink(MarketFeedDown(*market, error.detail))
                continue
            self._feeds[market] = feed
            self._market_sink(MarketFeedDown(*market, "connecting"))
            group.create_task(feed.run(self._market_sink), name=f"market feed {market}")
        for market, feed in self._feeds.items():
            feed.watch(frozenset(wanted.get(market, ())))

    def keep(
        self,
        group: asyncio.TaskGroup,
        accounts: Iterable[tuple[Account, Credentials | ConfigError]],
    ) -> None:
        """Hold exactly these accounts' connections."""
        current = {account.id: (account, credentials) for account, credentials in accounts}
        # Also those of an earlier term that were removed while another process led.
        for account_id in self._portfolio.accounts.keys() - current.keys():
            if task := self._tasks.pop(account_id, None):
                task.cancel()
            self.exchanges.pop(account_id, None)
            del self._portfolio.accounts[account_id]
        for account_id, (account, credentials) in current.items():
            if account_id in self._tasks:
                state = self._portfolio.accounts[account_id]
                state.account = account
                continue
            if isinstance(credentials, ConfigError):
                self._portfolio.accounts[account_id] = AccountState(
                    account, trouble=credentials.detail
                )
                continue
            self._portfolio.accounts[account_id] = AccountState(account)
            self._tasks[account_id] = group.create_task(
                self._hold(account, credentials), name=f"account {account_id}"
            )

    def end(self, reason: str) -> None:
        """Say that every stream is down: tasks that are cut off with their group tell nobody.

        Nobody reads or records through these accounts either: another process may lead by now.
        """
        self.exchanges.clear()
        for market in self._feeds:
            self._market_sink(MarketFeedDown(*market, reason))
        for account_id in self._tasks:
            self._account_sink(AccountFeedDown(account_id, reason))

    async def _hold(self, account: Account, credentials: Credentials) -> None:
        """Check the key until Bybit has answered, then hold the private stream for ever."""
        try:
            exchange = self._gateway.account(account, credentials)
        except PositiondError as error:
            # Without an address for its environment the account stays unusable until a restart.
            self._portfolio.accounts[account.id].trouble = error.detail
            _log.warning("the account is not usable", account=account.label, reason=error.detail)
            return
        await self._check_key(account, exchange)
        self.exchanges[account.id] = exchange
        await self._gateway.account_feed(account, credentials).run(self._account_sink)

    async def _check_key(self, account: Account, exchange: AccountExchange) -> None:
        state = self._portfolio.accounts[account.id]
        backoff = Backoff(first=0.5, most=_REFUSED_PAUSE)
        while True:
            pause = backoff.next()
            try:
                info = await exchange.key_info()
            except CredentialsRefused as error:
                trouble, pause = f"Bybit refuses the API key: {error.detail}", _REFUSED_PAUSE
            except ExchangeRefused as error:
                trouble, pause = f"Bybit refuses: {error.detail}", _REFUSED_PAUSE
            except PositiondError as error:
                trouble = error.detail
            else:
                rights = {right for group in info.permissions.values() for right in group}
                dangerous = sorted(rights & _FORBIDDEN_RIGHTS)
                if not dangerous:
                    state.key_info, state.trouble = info, None
                    return
                trouble = f"the API key may {', '.join(dangerous)}; make one without that right"
                pause = _REFUSED_PAUSE
            if trouble != state.trouble:
                _log.warning("the account is not usable", account=account.label, reason=trouble)
            state.trouble = trouble
            await self._timing.sleep(pause)
