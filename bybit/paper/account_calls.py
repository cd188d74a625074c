"""REST paths of positions, wallet, account and key."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ..vocab import Category, MarginMode, Path, PositionMode
from .calls import Call, Endpoint, Reply, page, time_span
from .encode import closed_pnl_row, position_row, text, wallet_row
from .faults import FaultKind
from .instruments import MAKER_FEE, TAKER_FEE
from .model import Position
from .refusals import Refused, bad_parameter, missing_filter
from .valuation import value_account

KEY_DAYS = 90


def positions(call: Call) -> Reply:
    """By symbol flat rows too, by settleCoin only what is held (Bybit V5: position/list)."""
    category = call.category()
    if category is Category.SPOT:
        raise bad_parameter("Category invalid")
    rows = _position_rows(call, category)
    faults, uid = call.venue.faults, call.account.uid
    cut = faults.take(frozenset({FaultKind.TRUNCATED_POSITIONS}), Path.POSITIONS, uid)
    if cut:
        rows = rows[: cut.keep]
    found = page(call, rows, lambda p: f"{p.symbol}-{p.idx}", default=20, most=200)
    market = call.venue.market
    return Reply(
        {
            "category": category,
            "list": [position_row(p, market.quote(p.category, p.symbol).mark) for p in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def _position_rows(call: Call, category: Category) -> list[Position]:
    venue, uid = call.venue, call.account.uid
    stale = venue.faults.take(frozenset({FaultKind.STALE_POSITIONS}), Path.POSITIONS, uid)
    held = stale.snapshot if stale else venue.books.positions
    if symbol := call.text("symbol"):
        venue.market.listing.get(category, symbol)
        flat = Position(uid, category, symbol, 0)
        return [held.get((uid, category, symbol, 0), flat)]
    coin = call.text("settleCoin")
    if category is Category.LINEAR and not coin:
        raise missing_filter()
    listing = venue.market.listing
    rows = [
        p
        for p in held.values()
        if p.uid == uid and p.category is category and p.side is not None
        if coin in ("", listing.get(p.category, p.symbol).settle)
    ]
    return sorted(rows, key=lambda p: (p.symbol, p.idx))


def switch_mode(call: Call) -> Reply:
    """One-way is the only mode so far; asking for it again is 110025."""
    if not (call.text("symbol") or call.text("coin")):
        raise bad_parameter("symbol or coin is required")
    if call.text("symbol"):
        call.instrument()
    mode = call.number("mode")
    if mode == PositionMode.ONE_WAY:
        raise Refused(110025, "Position mode is not modified")
    if mode == PositionMode.HEDGE:
        raise Refused(110029, "Hedge mode is not supported for this symbol")
    raise bad_parameter("mode invalid")


def set_leverage(call: Call) -> Reply:
    instrument = call.instrument()
    buy, sell = call.decimal("buyLeverage"), call.decimal("sellLeverage")
    if buy != sell or not Decimal(1) <= buy <= instrument.max_leverage:
        raise Refused(110013, "cannot set leverage due to risk limit")
    venue = call.venue
    held = venue.held(call.account.uid, instrument.category, instrument.symbol)
    venue.set_leverage(held, buy)
    return Reply({})


def closed_pnl(call: Call) -> Reply:
    category = call.category()
    start, end = time_span(call)
    symbol = call.text("symbol")
    rows = [
        row
        for row in reversed(call.venue.books.closed[call.account.uid])
        if row.category is category
        and symbol in ("", row.symbol)
        and start <= row.updated_ms <= end
    ]
    found = page(call, rows, lambda row: str(row.serial), default=50, most=100, eager=True)
    return Reply(
        {
            "category": category,
            "list": [closed_pnl_row(row) for row in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def wallet_balance(call: Call) -> Reply:
    if call.required("accountType") != "UNIFIED":
        raise Refused(10001, "accountType only support UNIFIED.")
    value = value_account(call.venue.books, call.venue.market, call.account.uid)
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
    category = call.category()
    listing = call.venue.market.listing
    symbol = call.text("symbol")
    chosen = [listing.get(category, symbol)] if symbol else listing.of(category)
    return Reply(
        {
            "category": category,
            "list": [
                {
                    "symbol": i.symbol,
                    "baseCoin": "",
                    "takerFeeRate": text(TAKER_FEE),
                    "makerFeeRate": text(MAKER_FEE),
                }
                for i in chosen
            ],
        }
    )


def query_api(call: Call) -> Reply:
    """A key without IP binding and without any right to move money."""
    account = call.account
    created = datetime.fromtimestamp(account.created_ms / 1000, UTC).replace(microsecond=0)
    expires = created + timedelta(days=KEY_DAYS)
    left = expires - datetime.fromtimestamp(call.venue.now_ms() / 1000, UTC)
    rights = {
        "ContractTrade": ["Order", "Position"],
        "Spot": ["SpotTrade"],
        "Wallet": [],
        "Options": ["OptionsTrade"],
        "Derivatives": ["DerivativesTrade"],
        "CopyTrading": [],
        "BlockTrade": [],
        "Exchange": [],
        "NFT": [],
        "Affiliate": [],
        "Earn": [],
    }
    return Reply(
        {
            "id": account.uid,
            "note": account.label,
            "apiKey": account.key,
            "readOnly": int(account.read_only),
            "secret": "",
            "permissions": rights,
            "ips": ["*"],
            "type": 1,
            "deadlineDay": max(left.days, 0),
            "expiredAt": _stamp(expires),
            "createdAt": _stamp(created),
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
        },
        message="",
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def coin_info(call: Call) -> Reply:
    """No coin can be moved in or out of here; clients read this list while connecting."""
    coins = sorted({i.settle for i in call.venue.market.listing.all()})
    wanted = call.text("coin")
    rows = [
        {"name": coin, "coin": coin, "remainAmount": "0", "chains": []}
        for coin in coins
        if wanted in ("", coin)
    ]
    return Reply({"rows": rows}, message="success")


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", Path.POSITIONS): Endpoint(positions),
    ("POST", Path.SWITCH_MODE): Endpoint(switch_mode, trades=True),
    ("POST", Path.SET_LEVERAGE): Endpoint(set_leverage, trades=True),
    ("GET", Path.CLOSED_PNL): Endpoint(closed_pnl),
    ("GET", Path.WALLET): Endpoint(wallet_balance),
    ("GET", Path.ACCOUNT_INFO): Endpoint(account_info),
    ("GET", Path.FEE_RATE): Endpoint(fee_rate),
    ("GET", Path.QUERY_API): Endpoint(query_api),
    ("GET", Path.COIN_INFO): Endpoint(coin_info),
}
