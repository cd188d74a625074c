"""What an API key may do: its permissions, where it may be used from, and until when."""

import ipaddress
from collections.abc import Iterable, Mapping

from ..vocab import Category
from .instruments import Instrument
from .model import Account
from .refusals import Refused

# The groups that user/query-api always shows, empty or not.
GROUPS = (
    "ContractTrade",
    "Spot",
    "Wallet",
    "Options",
    "Derivatives",
    "CopyTrading",
    "BlockTrade",
    "Exchange",
    "NFT",
    "Affiliate",
    "Earn",
    "FiatP2P",
    "FiatConvertBroker",
    "FiatGlobalPay",
    "FiatBitPay",
    "BitCard",
    "ByXPost",
)


def permission_denied() -> Refused:
    return Refused(10005, "Permission denied, please check your API key permissions.")


def permissions(account: Account) -> dict[str, list[str]]:
    """The rights by group (Bybit V5: user/query-api)."""
    shown: dict[str, list[str]] = {group: [] for group in GROUPS}
    for right in account.rights:
        group, _, name = right.partition(".")
        shown.setdefault(group, []).append(name)
    return shown


def with_groups(rights: Iterable[str], groups: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The rights after each named group was replaced by what is listed for it."""
    kept = [right for right in rights if right.partition(".")[0] not in groups]
    return (*kept, *(f"{group}.{name}" for group, names in groups.items() for name in names))


def check_use(account: Account, address: str | None, now_ms: int) -> None:
    """Raises Refused: 33004 for a key that ran out, 10010 from an address it is not bound to."""
    if account.expires_ms is not None and account.expires_ms <= now_ms:
        raise Refused(33004, "Your api key has expired.")
    if account.ips and not _is_bound(account.ips, address or ""):
        raise Refused(10010, "Unmatched IP, please check your API key's bound IP addresses.")


def _is_bound(ips: Iterable[str], address: str) -> bool:
    try:
        caller = ipaddress.ip_address(address)
        return any(caller in ipaddress.ip_network(ip, strict=False) for ip in ips)
    except ValueError:
        return False


def check_trade(account: Account, instrument: Instrument, right: str) -> None:
    """Raises Refused 10005; `right` is the one that USDT and inverse contracts ask for.

    Options and USDC contracts share a permission of their own (Bybit V5: user/query-api).
    """
    if instrument.category is Category.SPOT:
        right = "Spot.SpotTrade"
    elif instrument.category is Category.OPTION or instrument.settle == "USDC":
        right = "Options.OptionsTrade"
    if right not in account.rights:
        raise permission_denied()
