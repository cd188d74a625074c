"""Signed access to one account: what it holds, its orders and fills, and sends that close."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import structlog

from ..daemon.domain.errors import ExchangeBusy, ExchangeUnreachable
from ..daemon.domain.model import Category, Delivery, Fill, Holding, KeyInfo, OrderReport
from ..daemon.domain.orders import (
    Acked,
    MarketOrder,
    NotExecuted,
    OutcomeUnknown,
    Refused,
    RestingOrder,
    SendOutcome,
    SignedOrder,
)
from . import outcomes, translate, vocab
from .clock import from_ms
from .fields import WireError
from .history import AccountHistory
from .order_body import SignedBody, encode
from .order_search import OrderSearch
from .outcomes import Meaning
from .reply import Reply, TransportFault
from .rest import Query, RestClient, reading, unreadable
from .resting import RestingOrders
from .signed import SignedLists
from .signing import Signer
from .wire_account import (
    PositionRow,
    WalletRow,
    read_api_key,
    read_fee_rate,
    read_order_ack,
    read_position,
    read_wallet,
)

_log = structlog.get_logger(__name__)

# The largest page that the list allows. (Bybit V5: position/list)
_POSITIONS_PAGE: Final = "200"
_NO_CODE: Final = 0


class BybitAccount:
    """One account of one environment (an AccountExchange)."""

    def __init__(self, rest: RestClient, signer: Signer) -> None:
        self._rest = rest
        self._signer = signer
        self._lists = SignedLists(rest, signer)
        self._history = AccountHistory(self._lists)
        self._search = OrderSearch(rest, signer, self._history)
        self._resting = RestingOrders(rest, signer, self._lists)

    # --- what it holds -------------------------------------------------------------------

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        """As the port says. Options of every coin come without a filter."""
        if category is Category.SPOT:
            found = await self._wallet([], urgent=False)
            return [holding for holding in found if holding.side is not None]
        query = [("category", category.value), ("limit", _POSITIONS_PAGE)]
        if category is not Category.OPTION and settle_coin:
            query.append(("settleCoin", settle_coin))
        found = await self._positions(category, query, urgent=False)
        return [holding for holding in found if holding.side is not None]

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        """As the port says; none at all only if Bybit gave none, as for a contract that expired.

        A coin that a readable wallet does not show is held at zero.
        """
        if category is Category.SPOT:
            return [await self._coin(symbol, urgent=urgent)]
        query = [("category", category.value), ("symbol", symbol), ("limit", _POSITIONS_PAGE)]
        found = await self._positions(category, query, urgent=urgent)
        return [holding for holding in found if holding.symbol == symbol]

    async def _positions(self, category: Category, query: Query, *, urgent: bool) -> list[Holding]:
        # Before asking: a row is at least as new as this.
        read_at = await self.server_now()
        rows: list[PositionRow] = await self._lists.rows(
            vocab.Path.POSITIONS, query, read_position, urgent=urgent
        )
        # A row that moves to a later page while we read is seen twice: the later one counts.
        by_bucket = {(row.symbol, row.position_idx): row for row in rows}
        return [translate.holding(row, read_at, category) for row in by_bucket.values()]

    async def _coin(self, coin: str, *, urgent: bool) -> Holding:
        read_at = await self.server_now()
        found = await self._wallet([("coin", coin)], urgent=urgent)
        named = [holding for holding in found if holding.symbol == coin]
        return named[0] if named else translate.no_coin(coin, read_at)

    async def _wallet(self, query: Query, *, urgent: bool) -> list[Holding]:
        read_at = await self.server_now()
        unified = vocab.AccountType.UNIFIED
        wallets: list[WalletRow] = await self._lists.rows(
            vocab.Path.WALLET, [("accountType", unified.value), *query], read_wallet, urgent=urgent
        )
        rows = [row for wallet in wallets if wallet.account_type == unified for row in wallet.coins]
        if not any(wallet.account_type == unified for wallet in wallets):
            # Zero is what a wallet says, never what a missing one means.
            raise unreadable(vocab.Path.WALLET, WireError("no unified account in it"))
        if len({row.coin for row in rows}) != len(rows):
            raise unreadable(vocab.Path.WALLET, WireError("a coin stands in it twice"))
        return [translate.coin_holding(row, read_at) for row in rows]

    # --- sending -------------------------------------------------------------------------

    def sign(self, order: MarketOrder) -> SignedOrder:
        body = encode(order)
        stamp = self._rest.clock.now_ms()
        headers = self._signer.headers(body, stamp)
        signed_at = from_ms(stamp)
        dies_at = signed_at + timedelta(milliseconds=vocab.DEFAULT_RECV_WINDOW_MS)
        return SignedOrder(order, signed_at, dies_at, SignedBody(body, headers))

    async def send(self, signed: SignedOrder) -> SendOutcome:
        payload = signed.payload
        if not isinstance(payload, SignedBody):
            raise TypeError("the order was signed by somebody else")
        rest = self._rest
        if rest.clock.now() >= signed.dies_at:
            detail = "the signature expired before it was sent"
            return NotExecuted(outcomes.CLOCK_CODE, detail, rest.clock.now())
        budget = rest.order_budget(self._signer, signed.order.category.value)
        wait = max(rest.pause_left, rest.room_in(budget))
        if wait > 0:
            return NotExecuted(
                outcomes.RATE_CODE, "our own rate limit leaves no room", rest.retry_at(wait)
            )
        try:
            reply = await rest.post_once(
                vocab.Path.ORDER_CREATE, payload.body, payload.headers, budget
            )
        except TransportFault as fault:
            if fault.never_left:
                return NotExecuted(_NO_CODE, fault.detail, rest.retry_at(outcomes.USUAL_WAIT))
            return OutcomeUnknown(fault.detail)
        return await self._judge(reply, rest.wait_after(reply, budget))

    async def _judge(self, reply: Reply, wait: float) -> SendOutcome:
        meaning = reply.meaning
        if meaning is Meaning.ACCEPTED:
            try:
                return Acked(read_order_ack(reply.result).order_id)
            except WireError as error:
                return OutcomeUnknown(f"accepted, but {error}")
        if meaning is Meaning.WAIT:
            return NotExecuted(reply.number, reply.why, self._rest.retry_at(wait))
        if meaning is Meaning.CLOCK:
            await self._resync()
            return NotExecuted(reply.number, reply.why, self._rest.clock.now())
        if meaning is Meaning.CREDENTIALS:
            of_key = reply.number in outcomes.NOT_RECOGNISED
            return Refused(reply.number, reply.why, of_key=of_key)
        if meaning in (Meaning.REFUSED, Meaning.REREAD):
            return Refused(reply.number, reply.why)
        if meaning is Meaning.DONE and reply.code == outcomes.REDUCE_ONLY_CODE:
            return Refused(reply.number, reply.why)
        if meaning is Meaning.UNLISTED:
            self._rest.oddities.note(f"retCode {reply.number} to an order", reply.said)
        return OutcomeUnknown(reply.said)

    async def _resync(self) -> None:
        try:
            await self._rest.measure_clock(refused=True)
        except (ExchangeUnreachable, ExchangeBusy) as error:
            # The refusal stands all the same; the next signed read measures again.
            _log.warning("Bybit's clock could not be measured", reason=error.detail)

    # --- looking up ----------------------------------------------------------------------

    async def find_order(self, order: MarketOrder) -> OrderReport | None:
        return await self._search.find(order)

    async def fills_of(self, order: MarketOrder, order_id: str | None) -> list[Fill]:
        return await self._search.fills(order, order_id)

    async def fills_since(
        self,
        category: Category,
        since: datetime,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        urgent: bool = False,
    ) -> list[Fill]:
        return await self._history.fills_since(category, since, symbol, base_coin, urgent=urgent)

    async def deliveries_since(
        self, category: Category, symbol: str, since: datetime
    ) -> list[Delivery]:
        return await self._history.deliveries_since(category, symbol, since)

    # --- what stands in the way, and what it costs ---------------------------------------

    async def open_orders(self, category: Category, symbol: str) -> list[RestingOrder]:
        return await self._resting.of(category, symbol)

    async def cancel_order(self, category: Category, symbol: str, order_id: str) -> None:
        await self._resting.cancel(category, symbol, order_id)

    async def taker_fee_rate(self, category: Category, symbol: str) -> Decimal:
        """As the port says; options have one rate for all of a coin."""
        coin = symbol.partition("-")[0] if category is Category.OPTION else ""
        named = ("baseCoin", coin) if coin else ("symbol", symbol)
        rates = await self._lists.rows(
            vocab.Path.FEE_RATE, [("category", category.value), named], read_fee_rate, urgent=False
        )
        for rate in rates:
            if rate.symbol == symbol or (coin and (rate.symbol, rate.base_coin) == ("", coin)):
                return rate.taker
        raise unreadable(vocab.Path.FEE_RATE, WireError(f"no rate for {symbol[:40]}"))

    # --- the key and the clock -----------------------------------------------------------

    async def key_info(self) -> KeyInfo:
        result = await self._rest.get(vocab.Path.QUERY_API, signer=self._signer)
        with reading(vocab.Path.QUERY_API):
            return translate.key_info(read_api_key(result))

    async def server_now(self) -> datetime:
        return await self._lists.now()
