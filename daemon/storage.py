"""Opens the configured database: the embedded server if need be, the schema, the sealing key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from ..store.embedded import EmbeddedPostgres
from ..store.leadership import while_nobody_leads
from ..store.migrate import migrate, missing
from ..store.sealing import SealKey, read_or_make_seal_key
from ..store.store import Store, open_store
from .config import Config
from .presence import make_data_dir


@asynccontextmanager
async def database_url(config: Config) -> AsyncIterator[str]:
    """The URL to connect to, with the embedded server running while the context is open."""
    if config.database.url is not None:
        yield config.database.url
        return
    async with EmbeddedPostgres(make_data_dir(config.database.embedded_dir)) as server:
        yield server.url


@asynccontextmanager
async def opened_store(config: Config) -> AsyncIterator[Store]:
    """The store; StoreUnavailable or SchemaMismatch.

    Its schema is brought up to date, but under no daemon that leads with an older one.
    """
    async with database_url(config) as url:
        if await missing(url):
            await while_nobody_leads(url, partial(migrate, url))
        async with open_store(url, seal_key(config)) as store:
            yield store


def seal_key(config: Config) -> SealKey:
    """The configured key, else the one of the data directory, made at first use."""
    if config.seal.key is not None:
        return SealKey(config.seal.key)
    make_data_dir(config.data_dir)
    return read_or_make_seal_key(config.seal.key_file)
