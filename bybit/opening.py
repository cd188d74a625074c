"""Orders that open: for the smoke test alone, which needs a position of its own to close.

Nothing else may import this module; the daemon only ever reduces.
"""

from __future__ import annotations

from decimal import Decimal

import orjson

from ..daemon.domain import money
from ..daemon.domain.errors import ExchangeRefused, ExchangeUnreachable
from ..daemon.domain.model import Account, Category, Credentials, Environment, Side
from . import vocab
from .gateway import BybitGateway
from .outcomes import Meaning
from .reply import TransportFault
from .rest import reading
from .signing import Signer
from .wire_account import read_order_ack


class Opener:
    """Opens at market in one account; never on mainnet."""

    def __init__(self, gateway: BybitGateway, account: Account, credentials: Credentials) -> None:
        if account.environment is Environment.MAINNET:
            raise ValueError("nothing is opened on mainnet")
        self._rest = gateway.client(account.environment)
        self._signer = Signer(credentials)

    async def open_at_market(
        self, category: Category, symbol: str, side: Side, quantity: Decimal, link_id: str
    ) -> str:
        """Send a market order once; its order id. The domain's errors when it was not taken."""
        if not self._rest.clock.is_measured:
            await self._rest.measure_clock()
        body = orjson.dumps(
            {
                "category": category.value,
                "symbol": symbol,
                "side": side.value,
                "orderType": vocab.OrderType.MARKET.value,
                "qty": money.plain(quantity),
                "positionIdx": vocab.PositionIdx.ONE_WAY.value,
                "reduceOnly": False,
                "orderLinkId": link_id,
            }
        )
        headers = self._signer.headers(body, self._rest.clock.now_ms())
        budget = self._rest.order_budget(self._signer, category.value)
        try:
            reply = await self._rest.post_once(vocab.Path.ORDER_CREATE, body, headers, budget)
        except TransportFault as fault:
            raise ExchangeUnreachable("exchange-unreachable", fault.detail) from fault
        if reply.meaning is not Meaning.ACCEPTED:
            raise ExchangeRefused("exchange-refused", reply.said, ret_code=reply.number)
        with reading(vocab.Path.ORDER_CREATE):
            return read_order_ack(reply.result).order_id
