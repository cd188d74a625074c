"""Money is conserved: what an account loses the house or the fees have, to the last digit."""

import random
from collections import defaultdict
from contextlib import suppress
from decimal import Decimal as D
from functools import cache

import pytest
from positiond.bybit.paper.model import FEES, HOUSE
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.vocab import Category, ExecType, PositionMode

from .floor import ALICE, Floor

SYMBOLS = (
    ("linear", "BTCUSDT", "0.05"),
    ("linear", "ETHUSDT", "0.3"),
    ("linear", "BTCPERP", "0.05"),
    ("linear", "BTCUSDT-26DEC25", "0.05"),
    ("inverse", "BTCUSD", "700"),
    ("inverse", "ETHUSDZ25", "900"),
    ("spot", "BTCUSDT", "0.02"),
    ("spot", "ETHBTC", "0.4"),
    ("option", "BTC-31OCT25-100000-C-USDT", "0.1"),
    ("option", "ETH-31OCT25-4000-P", "0.5"),
)
DEPOSITS = {"USDT": 1_000_000, "USDC": 50_000, "BTC": 3, "ETH": 20}
SEEDED = pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(2, 7))]
)


@cache
def busy(seed: int) -> Floor:
    """Many orders in all categories; the tests only look."""
    floor = Floor()
    for coin, amount in DEPOSITS.items():
        floor.deposit(coin, amount if coin != "USDT" else 0)
    floor.engine.switch_mode(ALICE, PositionMode.HEDGE, symbol="ETHUSDT")
    floor.engine.paused = False
    rng = random.Random(seed)
    for n in range(150):
        category, symbol, qty = rng.choice(SYMBOLS)
        body: dict[str, object] = {
            "category": category,
            "symbol": symbol,
            "side": rng.choice(("Buy", "Sell")),
            "qty": str(D(qty) * rng.randint(1, 4)),
            "orderLinkId": f"m-{n}",
            "reduceOnly": rng.random() < 0.3,
            "marketUnit": "baseCoin",
        }
        if symbol == "ETHUSDT":
            body["positionIdx"] = rng.choice((1, 2))
        if rng.random() < 0.3:
            quote = floor.quote(symbol, Category(category))
            body |= {"orderType": "Limit", "price": str(rng.choice((quote.bid, quote.ask)))}
        with suppress(Refused):
            floor.request(**body)
        if rng.random() < 0.05:
            floor.engine.fund(floor.engine.now_ms)
            floor.engine.settle_sessions(floor.engine.now_ms)
        floor.pass_time(rng.choice((0, 10, 300)))
    return floor


@SEEDED
def test_every_coin_adds_up_over_all_owners(seed: int) -> None:
    floor = busy(seed)
    assert len(floor.books.executions[ALICE]) > 60
    for coin, amount in DEPOSITS.items():
        assert floor.total(coin) == amount
    for (owner, _), wallet in floor.books.wallets.items():
        assert owner != FEES or wallet.balance > 0
    assert any(owner == HOUSE for owner, _ in floor.books.wallets)


@SEEDED
def test_the_log_explains_every_balance(seed: int) -> None:
    floor = busy(seed)
    running: defaultdict[str, D] = defaultdict(D, USDT=D(1_000_000))
    for entry in floor.books.entries[ALICE]:
        running[entry.coin] += entry.change
        assert entry.change == entry.cash + entry.funding - entry.fee
        assert entry.balance == running[entry.coin]
    for coin, balance in running.items():
        assert floor.balance(coin) == balance


@SEEDED
def test_a_wallet_s_realised_result_is_that_of_its_positions(seed: int) -> None:
    floor = busy(seed)
    made: defaultdict[str, D] = defaultdict(D)
    for p in floor.books.positions.values():
        made[floor.market.listing.get(p.category, p.symbol).settle] += p.cum_realised
    for coin, amount in made.items():
        assert floor.books.wallet(ALICE, coin).realised == amount


@SEEDED
def test_cash_less_fees_is_what_the_executions_say(seed: int) -> None:
    floor = busy(seed)
    for fill in floor.books.executions[ALICE]:
        if fill.category == "option" or fill.exec_type is ExecType.FUNDING:
            continue
        assert fill.category == "spot" or fill.cash == fill.pnl
