"""REST paths of wallet, account and key."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ..vocab import Category, MarginMode, Path
from .calls import DAY_MS, Call, Endpoint, Reply, page, time_span
from .encode import text, wallet_row
from .encode_records import transaction_row
from .instruments import Instrument
from .model import Account
from .refusals import Refused
from .rights import permissions
from .valuation import value_account

KEY_DAYS = 90
NEVER = "1970-01-01T00:00:00Z"


def wallet_balance(call: Call) -> Reply:
    if call.required("accountType") != "UNIFIED":
        raise Refused(10001, "accountType only support UNIFIED.")
    value = value_account(call.books, call.venue.market, call.account.uid)
    coins = frozenset(filter(None, call.text("coin").split(",")))
    return Reply({"list": [wallet_row(value, coins or None)]})


def account_info(call: Call) -> Reply:
    return Reply(
        {
            "marginMode": MarginMode.REGULAR,
            "updatedTime": str(call.account.created_ms),
            "unifiedMarginStatus": 5,
            "dcpStatus": "OFF",
            "timeWindow": 10,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }
    )


def fee_rate(call: Call) -> Reply:
    """By symbol; options by coin alone, without a symbol (Bybit V5: account/fee-rate)."""
    category = call.category()
    listing = call.venue.market.listing
    symbol, base = call.text("symbol"), call.text("baseCoin")
    chosen = [listing.get(category, symbol)] if symbol else listing.of(category)
    chosen = [i for i in chosen if base in ("", i.base)]
    if category is Category.OPTION:
        chosen = list({i.base: i for i in chosen}.values())
    return Reply({"category": category, "list": [_rates(i) for i in chosen]})


def _rates(i: Instrument) -> dict[str, str]:
    return {
        "symbol": "" if i.option else i.symbol,
        "baseCoin": i.base if i.option else "",
        "takerFeeRate": text(i.taker_fee),
        "makerFeeRate": text(i.maker_fee),
    }


def query_api(call: Call) -> Reply:
    """A key's rights and end; one that is bound to addresses has none (Bybit V5: query-api)."""
    account = call.account
    days, ends = _end_of(account, call.venue.now_ms())
    return Reply(
        {
            "id": account.uid,
            "note": account.label,
            "apiKey": account.key,
            "readOnly": int(account.read_only),
            "secret": "",
            "permissions": permissions(account),
            "ips": list(account.ips) or ["*"],
            "type": 1,
            "deadlineDay": days,
            "expiredAt": ends,
            "createdAt": _stamp(account.created_ms),
            "unified": 0,
            "uta": 1,
            "userID": int(account.uid),
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
            "userIDInt64": "0",
            "inviterIDInt64": "0",
            "affiliateIDInt64": "0",
        },
        message="",
    )


def _end_of(account: Account, now_ms: int) -> tuple[int, str]:
    if account.ips and account.expires_ms is None:
        return -2, NEVER
    lifetime = int(timedelta(days=KEY_DAYS).total_seconds() * 1000)
    ends = account.expires_ms or account.created_ms + lifetime
    return max((ends - now_ms) // 86_400_000, 0), _stamp(ends)


def _stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def transactions(call: Call) -> Reply:
    """What moved each coin's balance, newest first, of the last day unless asked for more."""
    if call.text("accountType") not in ("", "UNIFIED"):
        raise Refused(10001, "accountType only support UNIFIED.")
    start, end = time_span(call, DAY_MS)
    wanted = {
        "category": call.text("category"),
        "coin": call.text("currency"),
        "kind": call.text("type"),
    }
    rows = [
        row
        for row in reversed(call.books.entries[call.account.uid])
        if start <= row.at_ms <= end
        and all(value in ("", getattr(row, name)) for name, value in wanted.items())
    ]
    found = page(call, rows, lambda row: str(row.serial), default=20, most=50)
    shown = [transaction_row(row) for row in found.rows]
    return Reply({"list": shown, "nextPageCursor": found.cursor})


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", Path.WALLET): Endpoint(wallet_balance),
    ("GET", Path.ACCOUNT_INFO): Endpoint(account_info),
    ("GET", Path.FEE_RATE): Endpoint(fee_rate),
    ("GET", Path.TRANSACTIONS): Endpoint(transactions),
    ("GET", Path.QUERY_API): Endpoint(query_api),
}
