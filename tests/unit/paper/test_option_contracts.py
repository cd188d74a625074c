"""Options: premium paid at once, fee capped, payoff at expiry."""

from decimal import Decimal as D

from positiond.bybit.paper.valuation import value_account
from positiond.bybit.vocab import CancelType, Category, ExecType, OrderStatus, Side

from .floor import ALICE, Floor

OPTION = Category.OPTION
CALL, PUT = "BTC-26DEC25-100000-C-USDT", "BTC-26DEC25-100000-P-USDT"


def option(n: int, **changes: str) -> dict[str, object]:
    return {"category": "option", "symbol": CALL, "orderLinkId": f"o-{n}", "qty": "0.5", **changes}


def test_an_order_needs_an_id(floor: Floor) -> None:
    body = option(1)
    del body["orderLinkId"]
    assert floor.refusal(**body).code == 10001


def test_a_buyer_pays_the_premium_and_the_seller_gets_it(floor: Floor) -> None:
    order = floor.order(**option(1))
    assert order.status is OrderStatus.FILLED
    assert floor.balance() == 1_000_000 - order.cum_value - order.cum_fee
    before = floor.balance()
    sold = floor.order(**option(2, symbol=PUT, side="Sell"))
    assert floor.balance() == before + sold.cum_value - sold.cum_fee
    held = floor.position(PUT, OPTION)
    assert (held.side, held.size) == (Side.SELL, D("0.5"))


def test_what_an_option_is_worth_counts_as_equity_but_not_as_margin(floor: Floor) -> None:
    floor.order(**option(1))
    value = value_account(floor.books, floor.market, ALICE)
    mark = floor.quote(CALL, OPTION).mark
    assert value.equity == floor.balance() + D("0.5") * mark
    assert value.margin_balance == floor.balance()
    assert value.maintenance == 0
    floor.order(**option(2, symbol=PUT, side="Sell"))
    value = value_account(floor.books, floor.market, ALICE)
    assert value.initial_margin > D("0.5") * D("0.1") * floor.quote(PUT, OPTION).index


def test_the_fee_is_of_the_index_and_at_most_seven_percent_of_the_price(floor: Floor) -> None:
    order = floor.order(**option(1))
    fill = floor.last_fill()
    assert fill.fee == (D("0.0003") * fill.index * fill.qty).quantize(D("1E-8"))
    cheap = "BTC-10OCT25-116000-C-USDT"
    floor.engine.set_mark(OPTION, cheap, D("20"))
    floor.order(**option(2, symbol=cheap))
    fill = floor.last_fill()
    assert fill.fee == (D("0.07") * fill.price * fill.qty).quantize(D("1E-8"))
    assert order.fee_coin == "USDT"


def test_a_reduce_only_close_realises_against_the_average(floor: Floor) -> None:
    floor.order(**option(1))
    order = floor.order(**option(2, side="Sell", qty="2"), reduceOnly=True)
    assert order.cum_qty == D("0.5")
    assert floor.position(CALL, OPTION).side is None
    fills = floor.books.executions[ALICE]
    paid = sum((f.fee for f in fills), D(0))
    pnl = sum((f.pnl for f in fills), D(0))
    assert floor.balance() == 1_000_000 + pnl - paid
    (closed,) = floor.books.closed[ALICE]
    assert closed.pnl == pnl - paid


def test_a_premium_that_is_not_there_is_refused(floor: Floor) -> None:
    assert floor.refusal(**option(1, qty="200")).code == 110007


def test_at_expiry_it_pays_what_it_is_worth_and_is_gone(floor: Floor) -> None:
    floor.order(**option(1))
    floor.order(**option(2, symbol=PUT, side="Sell"))
    resting = floor.order(**option(3, orderType="Limit", side="Buy", price="8000"))
    before, now = floor.balance(), floor.engine.now_ms
    for symbol in (CALL, PUT):
        floor.engine.deliver(OPTION, symbol, now, D("108000"))
    assert floor.position(CALL, OPTION).side is floor.position(PUT, OPTION).side is None
    assert floor.books.orders[resting.order_id].cancel_type is CancelType.BY_DELIVERY
    call, put = floor.books.deliveries[ALICE]
    assert (call.strike, call.price, call.size) == (D(100000), D(108000), D("0.5"))
    assert call.fee == D("0.00015") * 108000 * D("0.5")
    assert put.fee == 0
    assert put.pnl > 0
    assert floor.balance() == before + D("0.5") * 8000 - call.fee
    assert floor.last_fill().exec_type is ExecType.DELIVERY
    assert floor.last_fill().order_id not in floor.books.orders
    assert floor.refusal(**option(4)).code == 110074


def test_once_delivered_it_is_quoted_at_its_payoff_and_not_at_the_underlying(floor: Floor) -> None:
    for symbol, worth in ((CALL, D(8000)), (PUT, D(0))):
        floor.engine.deliver(OPTION, symbol, floor.engine.now_ms, D("108000"))
        quote = floor.engine.market.quote(OPTION, symbol)
        assert (quote.mark, quote.last, quote.index) == (worth, worth, D(108000))


def test_every_execution_tells_its_volatility(floor: Floor) -> None:
    floor.order(**option(1))
    fill = floor.last_fill()
    assert D("0.1") < fill.mark_iv < D("3")
    assert fill.underlying > fill.index
