"""Exchanges on free ports, and clients of them."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer

from .client import Client


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def paper() -> AsyncIterator[PaperServer]:
    async with PaperServer(seed=7) as server:
        yield server


@pytest.fixture
async def manual() -> AsyncIterator[PaperServer]:
    async with PaperServer(seed=7, clock="manual") as server:
        yield server


@pytest.fixture
async def alice(http: aiohttp.ClientSession, paper: PaperServer) -> Client:
    """Trades on the exchange whose clock runs."""
    return Client(http, paper, paper.add_account("alice"))


@pytest.fixture
async def carol(http: aiohttp.ClientSession, manual: PaperServer) -> Client:
    """Trades on the exchange whose clock moves by steps."""
    return Client(http, manual, manual.add_account("carol"))
