"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.http.passwords import hash_password

from tests.e2e.browser import PASSWORD
from tests.e2e.gate import Gate, gate_before
from tests.e2e.world import Trader, World, a_world, daemon, trading


@pytest.fixture
async def paper() -> AsyncIterator[PaperServer]:
    async with PaperServer(seed=11) as server:
        yield server


@pytest.fixture
async def world(postgres_url: str, paper: PaperServer) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        async with a_world(postgres_url, Path(directory), paper) as made:
            yield made


@pytest.fixture
async def trader(world: World) -> AsyncIterator[Trader]:
    """A user with one account, on a running daemon."""
    async with daemon(world):
        user = await world.user("alice")
        async with trading(world, user, "main") as made:
            yield made


@pytest.fixture
async def gate(paper: PaperServer) -> AsyncIterator[Gate]:
    async with gate_before(paper.url) as made:
        yield made


@pytest.fixture
async def gated(postgres_url: str, paper: PaperServer, gate: Gate) -> AsyncIterator[World]:
    """A world whose daemon reaches the exchange through the gate."""
    with tempfile.TemporaryDirectory() as directory:
        async with a_world(postgres_url, Path(directory), paper, gate.url) as made:
            yield made


@pytest.fixture
async def gated_trader(gated: World) -> AsyncIterator[Trader]:
    async with daemon(gated):
        user = await gated.user("alice")
        async with trading(gated, user, "main") as made:
            yield made


@pytest.fixture
async def alice(world: World) -> AsyncIterator[Trader]:
    """As `trader`, but able to sign in."""
    async with daemon(world):
        user = await world.store.people.add_user("alice", hash_password(PASSWORD))
        async with trading(world, user, "main") as made:
            yield made
