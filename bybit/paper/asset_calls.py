"""REST paths of coins."""

from collections.abc import Mapping

from ..vocab import Path
from .calls import Call, Endpoint, Reply


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
    ("GET", Path.COIN_INFO): Endpoint(coin_info),
}
