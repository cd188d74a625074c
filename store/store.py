"""The whole store behind one door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .accounts import Accounts
from .changes import Changes
from .closes import Closes
from .evidence import Evidence
from .leadership import HeldEpoch, Leadership
from .migrate import check_schema
from .people import People
from .pool import open_pool
from .positions import Positions
from .sealing import Sealer, SealKey
from .switches import Switches


@dataclass(frozen=True, slots=True)
class Store:
    """What the loops and the HTTP floor know as ports, on one database."""

    positions: Positions
    closes: Closes
    accounts: Accounts
    people: People
    switches: Switches
    changes: Changes
    leadership: Leadership
    evidence: Evidence


@asynccontextmanager
async def open_store(
    url: str, seal_key: SealKey, older_keys: Sequence[SealKey] = ()
) -> AsyncIterator[Store]:
    """Connect and check the schema. Secrets are sealed with `seal_key`; older keys only unseal.

    StoreUnavailable if nobody answers; SchemaMismatch unless `migrate` has brought the schema to
    exactly this version.
    """
    async with open_pool(url) as database, database.transaction() as connection:
        await check_schema(connection)
    async with unconnected_store(url, seal_key, older_keys) as store:
        yield store


@asynccontextmanager
async def unconnected_store(
    url: str, seal_key: SealKey, older_keys: Sequence[SealKey] = ()
) -> AsyncIterator[Store]:
    """The store before its database answers; every call connects, or says StoreUnavailable.

    For a daemon that serves its pages meanwhile, and migrates the schema itself.
    """
    async with open_pool(url) as database:
        held = HeldEpoch()
        changes = Changes(url)
        try:
            yield Store(
                positions=Positions(database),
                closes=Closes(database, held),
                accounts=Accounts(database, Sealer((seal_key, *older_keys))),
                people=People(database),
                switches=Switches(database),
                changes=changes,
                leadership=Leadership(url, held),
                evidence=Evidence(database),
            )
        finally:
            await changes.close()
