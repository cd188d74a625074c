"""Full hours: funding, the periodic settlement of USDC contracts, expiries, new contracts."""

from decimal import Decimal as D

import pytest
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.events import Executed, PositionChanged, QuotesChanged, WalletChanged
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.model import Position
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.timetable import HOUR_MS
from positiond.bybit.vocab import CancelType, Category, ExecType, InstrumentStatus, Side

from .floor import ALICE, START_MS, Floor

LINEAR, INVERSE = Category.LINEAR, Category.INVERSE
FUTURE = "BTCUSDT-10OCT25"


@pytest.fixture
def floor() -> Floor:
    """A clock that skips the ticks in between: hours pass at once, their deeds do not."""
    floor = Floor()
    floor.engine.exact = False
    return floor


def sizes(floor: Floor) -> list[tuple[str, D, D]]:
    held = floor.books.held(ALICE)
    return [(p.symbol, p.signed, p.avg_price) for p in held]


def test_funding_moves_money_and_never_a_size(floor: Floor) -> None:
    floor.deposit("BTC", 1)
    floor.order(qty="0.5")
    floor.order(category="inverse", symbol="BTCUSD", side="Sell", qty="50000")
    before, dollars, coins = sizes(floor), floor.balance(), floor.balance("BTC")
    made = floor.engine.fund(floor.engine.now_ms, rate=D("0.0001"))
    assert sizes(floor) == before
    assert [e.exec_type for e in made] == [ExecType.FUNDING] * 2
    short, long = sorted(made, key=lambda e: e.category)
    mark = floor.quote().mark
    assert (long.side, long.qty, long.price) == (Side.BUY, D("0.5"), mark)
    assert long.fee == (D("0.5") * mark * D("0.0001")).quantize(D("1E-8"))
    assert floor.balance() == dollars - long.fee
    assert short.side is Side.SELL
    assert short.fee < 0
    assert short.fee_coin == "BTC"
    assert floor.balance("BTC") == coins - short.fee
    assert floor.position().cur_realised < -long.fee
    assert long.order_id not in floor.books.orders


def test_funding_comes_at_each_contract_s_own_hours(floor: Floor) -> None:
    floor.order(qty="0.5")
    floor.order(symbol="1000PEPEUSDT", qty="100000")
    hours: dict[str, set[int]] = {}
    for _ in range(24):
        floor.pass_time(HOUR_MS)
        for fill in floor.books.executions[ALICE]:
            if fill.exec_type is ExecType.FUNDING:
                hours.setdefault(fill.symbol, set()).add(fill.exec_ms // HOUR_MS % 24)
    assert hours == {"BTCUSDT": {0, 8, 16}, "1000PEPEUSDT": {0, 4, 8, 12, 16, 20}}


def test_funding_is_told_on_its_three_topics(floor: Floor) -> None:
    floor.order(qty="0.5")
    floor.engine.fund(floor.engine.now_ms)
    told = [t.event for t in floor.pass_time(60) if not isinstance(t.event, QuotesChanged)]
    assert {type(event) for event in told} == {Executed, PositionChanged, WalletChanged}


def usdc(floor: Floor, **changes: object) -> None:
    floor.order(category="linear", symbol="BTCPERP", **changes)


def test_a_periodic_settlement_moves_the_result_and_keeps_the_average(floor: Floor) -> None:
    floor.deposit("USDC", 100_000)
    usdc(floor, side="Buy", qty="0.5")
    entry, before = floor.position("BTCPERP").avg_price, floor.balance("USDC")
    floor.engine.set_mark(LINEAR, "BTCPERP", D("103000"))
    (made,) = floor.engine.settle_sessions(floor.engine.now_ms)
    held = floor.position("BTCPERP")
    assert (held.size, held.avg_price, held.session_avg) == (D("0.5"), entry, D("103000"))
    assert made.pnl == D("0.5") * (103000 - entry)
    assert floor.balance("USDC") == before + made.pnl
    (record,) = floor.books.settlements[ALICE]
    assert (record.session_avg, record.mark, record.pnl) == (entry, D("103000"), made.pnl)
    assert floor.books.closed[ALICE][-1].exec_type is ExecType.SESSION_SETTLE_PNL
    assert not floor.engine.settle_sessions(floor.engine.now_ms, symbol="ETHPERP")


def test_settled_in_between_or_not_the_whole_result_is_the_same(floor: Floor) -> None:
    floor.deposit("USDC", 100_000)
    usdc(floor, side="Buy", qty="0.5")
    floor.engine.set_mark(LINEAR, "BTCPERP", D("103000"))
    floor.engine.settle_sessions(floor.engine.now_ms)
    usdc(floor, side="Sell", qty="0.5", reduceOnly=True)
    fills = [f for f in floor.books.executions[ALICE] if f.exec_type is ExecType.TRADE]
    cash = sum((f.value if f.side is Side.SELL else -f.value for f in fills), D(0))
    fees = sum((f.fee for f in fills), D(0))
    assert abs(floor.balance("USDC") - (100_000 + cash - fees)) < D("1E-7")
    assert floor.position("BTCPERP").cum_realised == floor.balance("USDC") - 100_000


def test_usdc_contracts_settle_every_eight_hours(floor: Floor) -> None:
    usdc(floor, side="Buy", qty="0.1")
    for _ in range(24):
        floor.pass_time(HOUR_MS)
    assert len(floor.books.settlements[ALICE]) == 3


def test_a_future_is_delivered_at_its_hour(floor: Floor) -> None:
    floor.order(symbol=FUTURE, qty="0.5")
    far = floor.order(symbol=FUTURE, orderType="Limit", side="Buy", qty="0.1", price="99000.00")
    due = floor.market.listing.get(LINEAR, FUTURE).delivery_ms
    floor.pass_time(due - floor.engine.now_ms)
    assert floor.position(FUTURE).side is None
    (row,) = floor.books.deliveries[ALICE]
    assert (row.symbol, row.side, row.size, row.delivery_ms) == (FUTURE, Side.BUY, D("0.5"), due)
    assert floor.books.orders[far.order_id].cancel_type is CancelType.BY_SETTLE
    assert floor.last_fill().exec_type is ExecType.DELIVERY
    assert floor.quote(FUTURE).instrument.status is InstrumentStatus.CLOSED
    assert floor.market.listing.has(LINEAR, "BTCUSDT-24OCT25")
    assert floor.quote("BTCUSDT-24OCT25").bid > 0


def test_an_inverse_future_settles_in_coin(floor: Floor) -> None:
    floor.deposit("BTC", 1)
    floor.order(category="inverse", symbol="BTCUSDZ25", qty="10000")
    held, before = floor.position("BTCUSDZ25", INVERSE), floor.balance("BTC")
    floor.engine.deliver(INVERSE, "BTCUSDZ25", floor.engine.now_ms, D("110000"))
    fill = floor.last_fill()
    assert fill.exec_type is ExecType.SETTLE
    pnl = (10000 / held.avg_price - D(10000) / 110000).quantize(D("1E-8"))
    assert floor.balance("BTC") == before + pnl - fill.fee


def test_a_perpetual_can_be_delisted(floor: Floor) -> None:
    floor.order(symbol="XRPUSDT", qty="100")
    floor.engine.deliver(LINEAR, "XRPUSDT", floor.engine.now_ms)
    assert floor.position("XRPUSDT").side is None
    assert floor.refusal(symbol="XRPUSDT", qty="100").code == 110074


def test_what_expired_while_nobody_looked_is_delivered_at_the_start(floor: Floor) -> None:
    floor.order(symbol=FUTURE, qty="0.5")
    late = START_MS + 40 * 24 * HOUR_MS
    books = Books()
    books.load(record for _, record in floor.books.drain())
    listing = default_listing(late)
    assert not listing.has(LINEAR, FUTURE)
    engine = Engine(books, Market(listing, seed=1), seed=1, now_ms=late)
    assert books.position(ALICE, LINEAR, FUTURE, 0).side is None
    assert books.deliveries[ALICE][0].symbol == FUTURE
    assert engine.market.quote(LINEAR, FUTURE).instrument.status is InstrumentStatus.CLOSED
    again = Engine(books, Market(default_listing(late), seed=1), seed=1, now_ms=late)
    assert not again.market.quote(LINEAR, FUTURE).instrument.is_trading
    assert len(books.deliveries[ALICE]) == 1


def test_what_was_delisted_stays_so_after_a_restart(floor: Floor) -> None:
    floor.engine.deliver(LINEAR, "XRPUSDT", floor.engine.now_ms, D("2.5"))
    books = Books()
    books.load(record for _, record in floor.books.drain())
    market = Market(default_listing(), seed=1)
    Engine(books, market, seed=1, now_ms=START_MS)
    quote = market.quote(LINEAR, "XRPUSDT")
    assert (quote.instrument.is_trading, quote.mark) == (False, D("2.5"))


@pytest.mark.parametrize("qty", [None, D("0.2")])
def test_a_move_hands_a_position_over_at_one_price(floor: Floor, qty: D | None) -> None:
    bob = floor.add("bob")
    floor.order(qty="0.5")
    before = floor.total("USDT")
    price = D("101000")
    now = floor.engine.now_ms
    ours, theirs = floor.engine.move(floor.position(), bob, now, qty=qty, price=price)
    assert isinstance(ours, Position)
    assert ours.size == D("0.5") - (qty or D("0.5"))
    assert (theirs.side, theirs.size, theirs.avg_price) == (Side.BUY, qty or D("0.5"), price)
    assert floor.last_fill().exec_type is ExecType.MOVE_POSITION
    assert floor.total("USDT") == before
