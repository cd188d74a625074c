"""What an API key's rights mean for us: which are refused, which a leg needs, what to warn of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from .domain.bucket_plan import Blockage, BucketPlan
from .domain.model import Category, KeyInfo
from .domain.share import Blocker

# What moves money out is refused: the whole of these groups, and these rights wherever they stand.
_FORBIDDEN_GROUPS: Final = frozenset({"Wallet", "Withdraw"})
_FORBIDDEN_RIGHTS: Final = frozenset(
    {"Withdraw", "AccountTransfer", "SubMemberTransfer", "SubMemberTransferList"}
)
# "Permission of a unified account": whether it stands for contracts where theirs is not named is
# nowhere said.
_UNIFIED: Final = "DerivativesTrade"
# Which right an order wants (Bybit V5: user/query-api); USDC contracts share that of options.
_CONTRACTS: Final = "ContractTrade.Order"
_OPTIONS: Final = "Options.OptionsTrade"
_SPOT: Final = "Spot.SpotTrade"
_USDC: Final = "USDC"
_SOON: Final = timedelta(days=14)


def forbidden_rights(info: KeyInfo) -> list[str]:
    """Rights of the key that could move money out, as `Group.Right`."""
    return [
        f"{group}.{right}"
        for group, rights in info.permissions.items()
        for right in rights
        if group in _FORBIDDEN_GROUPS or right in _FORBIDDEN_RIGHTS
    ]


def right_needed(category: Category, settle_coin: str | None) -> str | None:
    """What a key needs to order there, as `Group.Right`; None where an unknown coin decides it."""
    match category:
        case Category.SPOT:
            return _SPOT
        case Category.OPTION:
            return _OPTIONS
        case Category.INVERSE:
            return _CONTRACTS
        case Category.LINEAR if settle_coin is None:
            return None
        case Category.LINEAR:
            return _OPTIONS if settle_coin == _USDC else _CONTRACTS


def right_lacking(info: KeyInfo | None, category: Category, settle_coin: str | None) -> str | None:
    """The right that the key is known to lack for an order there; what is unknown is not lacking.

    Bybit names every group of a key, empty or not: one that it does not name goes by another name
    than we know, and that must not keep anybody from closing.
    """
    needed = right_needed(category, settle_coin)
    if info is None or needed is None:
        return None
    group, _, right = needed.partition(".")
    rights = info.permissions.get(group)
    if rights is None or right in rights:
        return None
    may_stand_for = needed == _CONTRACTS and _UNIFIED in info.permissions.get("Derivatives", ())
    return None if may_stand_for else needed


def within_rights(plan: BucketPlan, info: KeyInfo | None) -> BucketPlan:
    """The plan, blocked where it has an order to send that the key may not make."""
    if not plan.quantity or plan.instrument is None:
        return plan
    lacking = right_lacking(info, plan.bucket.category, plan.instrument.settle_coin)
    if lacking is None:
        return plan
    blockage = Blockage(Blocker.KEY_LACKS_RIGHT, f"{plan.symbol}: {told(lacking)}")
    return replace(plan, blockers=(*plan.blockers, blockage))


def told(lacking: str) -> str:
    """What is wrong with a key without that right, in words."""
    return f"the API key lacks the right {lacking}"


def warnings(info: KeyInfo, now: datetime) -> Iterable[str]:
    """What an operator should know of a key that is fit for use otherwise."""
    if info.read_only:
        yield "read-only: positions are tracked but cannot be closed"
    if not info.ips:
        yield "not bound to an IP address: it expires, and works from anywhere"
    if info.expires_at is not None and info.expires_at - now < _SOON:
        yield f"expires {info.expires_at:%Y-%m-%d %H:%M}Z"
