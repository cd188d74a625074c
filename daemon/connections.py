"""The streams to Bybit: one task per account and per (environment, category), opened as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from .account_link import AccountLink
from .domain.errors import ConfigError, PositiondError
from .domain.events import AccountFeedDown, AccountSink, MarketFeedDown, MarketSink
from .domain.model import Account, AccountId, Category, Credentials, Environment, InstrumentKey
from .domain.portfolio import AccountState, Portfolio
from .domain.ports import AccountExchange, Gateway, MarketFeed
from .timing import Timing

_log = structlog.get_logger(__name__)


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
        self._links: dict[AccountId, AccountLink] = {}
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
            self._let_go(account_id)
            del self._portfolio.accounts[account_id]
        for account_id, (account, credentials) in current.items():
            link, before = self._links.get(account_id), None
            if link is not None:
                # A secret that cannot be unsealed is no reason to stop using the one known.
                if isinstance(credentials, ConfigError) or link.serves(account, credentials):
                    self._portfolio.accounts[account_id].account = account
                    continue
                before = self._let_go(account_id)
                _log.info("the stored API key changed", account=account.label)
                self._account_sink(AccountFeedDown(account_id, "the stored API key changed"))
            if isinstance(credentials, ConfigError):
                self._portfolio.accounts[account_id] = AccountState(
                    account, trouble=credentials.detail
                )
                continue
            self._begin(group, account, credentials, before)

    def look_again(self, account_id: AccountId) -> None:
        """Ask Bybit anew what the account's key may do."""
        if link := self._links.get(account_id):
            link.look_again()

    def end(self, reason: str) -> None:
        """Say that every stream is down: tasks that are cut off with their group tell nobody.

        Nobody reads or records through these accounts either: another process may lead by now.
        """
        self.exchanges.clear()
        for market in self._feeds:
            self._market_sink(MarketFeedDown(*market, reason))
        for account_id in self._tasks:
            self._account_sink(AccountFeedDown(account_id, reason))

    def _begin(
        self,
        group: asyncio.TaskGroup,
        account: Account,
        credentials: Credentials,
        before: asyncio.Task[None] | None,
    ) -> None:
        state = self._portfolio.accounts[account.id] = AccountState(account)
        link = AccountLink(
            self._gateway, credentials, state, self.exchanges, self._timing, self._account_sink
        )
        self._links[account.id] = link
        self._tasks[account.id] = group.create_task(
            _hold(link, before), name=f"account {account.id}"
        )

    def _let_go(self, account_id: AccountId) -> asyncio.Task[None] | None:
        """Nobody uses the account any more; gives the task that is coming to its end."""
        self._links.pop(account_id, None)
        self.exchanges.pop(account_id, None)
        task = self._tasks.pop(account_id, None)
        if task is not None:
            task.cancel()
        return task


async def _hold(link: AccountLink, before: asyncio.Task[None] | None) -> None:
    # One stream at a time: what the old one still tells must not come after what the new one does.
    if before is not None:
        await asyncio.wait({before})
    await link.hold()
