"""Builds the demo: takes over leftovers, starts Postgres, exchange and daemon, records the cast.

Who owns what: the embedded Postgres is used by the demo and by the daemon, and stops with the
last of them. Exchange and daemon are children; they register in the data directory, so whatever
a `kill -9` leaves behind is found there and stopped by the next start, a daemon that somebody
started again by hand included.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from ..http.keys import digest, new_session_key
from ..http.passwords import hash_password
from ..store.embedded import EmbeddedPostgres
from ..store.store import Store
from .children import Child, ChildFailed, Command, stop_all
from .config import Config, load
from .daemon_api import DaemonApi
from .demo_cast import Casting
from .demo_state import DemoState, forget
from .domain.errors import Conflict
from .domain.model import Account, Credentials
from .domain.people import Scope, User
from .paper_control import PaperControl
from .presence import make_data_dir, pids_in, present
from .settings import PREFIX
from .storage import opened_store
from .waiting import poll

USER: Final = "demo"
_TOKEN_LABEL: Final = "demo"
_LINK_LASTS: Final = timedelta(days=7)
_START_WITHIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """Ports of 0 take free ones."""

    data_dir: Path
    port: int
    paper_port: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """The running demo."""

    url: str
    sign_in_url: str = field(repr=False)
    token: str = field(repr=False)
    paper_url: str
    database_url: str
    serve_command: str
    accounts: tuple[tuple[Account, Credentials], ...]
    daemon: Child
    paper: Child
    found_again: bool


@asynccontextmanager
async def staged(options: Options) -> AsyncIterator[Stage]:
    """Everything up and the first compare done; everything gone on leaving."""
    make_data_dir(options.data_dir)
    async with AsyncExitStack() as stack:
        _refuse_a_second(options.data_dir)
        stack.enter_context(present(options.data_dir, "demo"))
        yield await _Builder(options, stack).build()


class _Builder:
    def __init__(self, options: Options, stack: AsyncExitStack) -> None:
        self._data_dir = options.data_dir
        self._options = options
        self._stack = stack

    async def build(self) -> Stage:
        await self._take_over()
        known = DemoState.load(self._data_dir)
        if self._options.fresh or known is None:
            await asyncio.to_thread(forget, self._data_dir)
            known = None
        paper_port = _free_port(self._options.paper_port, "--paper-port")
        port = _free_port(self._options.port, "--port")
        config = _config(self._data_dir, port, f"http://127.0.0.1:{paper_port}")
        database = await self._stack.enter_async_context(EmbeddedPostgres(self._data_dir))
        paper, control = await self._start_paper(paper_port)
        state = known or DemoState.new()
        async with opened_store(config) as store:
            accounts, ticket = await self._cast(store, control, state, is_new=known is None)
        if known is None:
            state.save(self._data_dir)
        daemon = await self._start_daemon(config, state.token)
        return Stage(
            url=config.http.public_url,
            sign_in_url=f"{config.http.public_url}/sign-in?{urlencode({'ticket': ticket})}",
            token=state.token,
            paper_url=f"http://127.0.0.1:{paper_port}",
            database_url=database.url,
            serve_command=serve_command(config),
            accounts=tuple((accounts[label], pair) for label, pair in state.keys.items()),
            daemon=daemon,
            paper=paper,
            found_again=known is not None,
        )

    async def _take_over(self) -> None:
        """Stop what a killed demo left running on this data."""
        await stop_all(pids_in(self._data_dir, "daemon"))
        await stop_all(pids_in(self._data_dir / "paper", "paper"))

    async def _start_paper(self, port: int) -> tuple[Child, PaperControl]:
        data_dir = self._data_dir / "paper"
        arguments = ("paper", "--port", str(port), "--data", str(data_dir))
        child = await self._start("paper", data_dir, arguments, _clean_environ())
        control = await self._stack.enter_async_context(PaperControl(f"http://127.0.0.1:{port}"))
        await _until(control.is_up, child)
        return child, control

    async def _start_daemon(self, config: Config, token: str) -> Child:
        environ = _clean_environ() | _daemon_environ(config)
        child = await self._start("daemon", self._data_dir, ("serve",), environ)
        async with DaemonApi(f"http://127.0.0.1:{config.http.port}", token) as api:
            await _until(api.is_ready, child)
        return child

    async def _start(
        self, role: str, data_dir: Path, arguments: tuple[str, ...], environ: dict[str, str]
    ) -> Child:
        log = self._data_dir / "log" / f"{role}.log"
        command = Command(role, data_dir, (*_program(), *arguments), environ, log)
        child = await Child.start(command)
        self._stack.push_async_callback(child.stop)
        return child

    async def _cast(
        self, store: Store, control: PaperControl, state: DemoState, *, is_new: bool
    ) -> tuple[dict[str, Account], str]:
        if is_new:
            # Nobody knows this password: the way in is the link.
            user = await store.people.add_user(USER, hash_password(new_session_key()))
            await store.people.create_token(user.id, _TOKEN_LABEL, Scope.TRADE, digest(state.token))
        else:
            user = await _demo_user(store)
        casting = Casting(store, control, user.id)
        accounts = await casting.accounts(state.keys)
        if is_new:
            await casting.perform(accounts)
        ticket = new_session_key()
        await store.people.create_ticket(user.id, digest(ticket), datetime.now(UTC) + _LINK_LASTS)
        return accounts, ticket


def serve_command(config: Config) -> str:
    """The command that runs the daemon again alone; it holds no secret."""
    settings = [f"{name}={value}" for name, value in _daemon_environ(config).items()]
    return shlex.join(["env", *settings, *_program(), "serve"])


def _refuse_a_second(data_dir: Path) -> None:
    if running := pids_in(data_dir, "demo"):
        raise Conflict(
            "demo-running",
            f"a demo is running on {data_dir} already (pid {running[0]}): stop it, or pass "
            "--data DIR and other ports for a second one",
        )


def _program() -> tuple[str, ...]:
    return (sys.executable, "-m", "positiond.daemon")


def _daemon_environ(config: Config) -> dict[str, str]:
    paper = next(hosts.rest for name, hosts in config.hosts.items() if name == "paper")
    return {
        "POSITIOND_DATA_DIR": str(config.data_dir),
        "POSITIOND_HTTP_PORT": str(config.http.port),
        "POSITIOND_PAPER_URL": paper,
    }


def _clean_environ() -> dict[str, str]:
    """Ours without the settings of some other daemon that the user may have in the shell."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _config(data_dir: Path, port: int, paper_url: str) -> Config:
    environ = {
        "POSITIOND_DATA_DIR": str(data_dir),
        "POSITIOND_HTTP_PORT": str(port),
        "POSITIOND_PAPER_URL": paper_url,
    }
    return load(environ, lambda _name: None)


async def _demo_user(store: Store) -> User:
    return next(user for user in await store.people.users() if user.username == USER)


def _free_port(wanted: int, option: str) -> int:
    """`wanted` if nobody listens there; any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            raise Conflict(
                "port-in-use", f"port {wanted} cannot be used ({error}): pass {option} N"
            ) from error
        return int(probe.getsockname()[1])


async def _until(is_up: Callable[[], Awaitable[bool]], child: Child) -> None:
    """Poll until the child answers; ChildFailed if it ends before, or takes too long."""
    async with asyncio.TaskGroup() as group:
        guard = group.create_task(child.fail_if_it_ends())
        try:
            async with asyncio.timeout(_START_WITHIN):
                await poll(is_up, bool)
        except TimeoutError as error:
            raise ChildFailed(
                "child-late",
                f"the {child.command.role} was not ready within {_START_WITHIN:.0f} s: "
                f"{child.last_words()}",
            ) from error
        finally:
            guard.cancel()
