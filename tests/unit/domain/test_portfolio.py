"""What is held in memory: who writes which field, and what goes when a position goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.domain.model import Category, Verdict
from positiond.daemon.domain.orders import RequestState
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.verdict import Reading

from ...builders import (
    ACCOUNT,
    BTC,
    ETH,
    NOON,
    OTHER_ACCOUNT,
    close_request,
    component,
    holding,
    key_of,
    position,
    symbol_key,
)
from .places import balance, coin_key, spot_leg


def test_a_new_position_is_unverified_until_it_was_compared() -> None:
    portfolio, one = Portfolio(), position()
    assert portfolio.put(one)
    assert portfolio.syncs[one.id].verdict is Verdict.UNVERIFIED


def test_an_older_record_never_sets_the_flag_back() -> None:
    portfolio, one = Portfolio(), position()
    portfolio.put(one)
    portfolio.positions[one.id] = replace(one, is_altered=True, verified_at=NOON)
    assert not portfolio.put(one)
    assert portfolio.put(replace(one, name="renamed"))
    now = portfolio.positions[one.id]
    assert (now.name, now.is_altered, now.verified_at) == ("renamed", True, NOON)


def test_readings_go_with_the_last_holder_of_their_symbol() -> None:
    portfolio = Portfolio()
    one = position(component(of="a"), component(symbol=ETH, of="a"), name="a")
    two = position(component(of="b"), name="b")
    portfolio.put(one)
    portfolio.put(two)
    for symbol in (BTC, ETH):
        portfolio.readings[symbol_key(symbol)] = Reading((holding("1", symbol),), NOON)
    assert portfolio.drop(one.id) == one
    assert set(portfolio.readings) == {symbol_key(BTC)}
    assert portfolio.drop(one.id) is None


def test_symbols_and_holders_are_those_of_open_legs() -> None:
    portfolio = Portfolio()
    one = position(component(of="a"), component("1", symbol=ETH, of="a", closed="1"), name="a")
    two = position(component(of="b"), name="b", account_id=OTHER_ACCOUNT)
    portfolio.put(one)
    portfolio.put(two)
    assert portfolio.symbols(ACCOUNT) == {symbol_key(BTC)}
    assert portfolio.holders([symbol_key(BTC)]) == {one.id}
    assert portfolio.holders([symbol_key(ETH)]) == frozenset()
    assert one.components[1].open == Decimal(0)


def test_a_leg_that_was_closed_gives_its_symbol_free() -> None:
    portfolio = Portfolio()
    portfolio.put(position(component("1"), component("2", symbol=ETH)))
    for symbol in (BTC, ETH):
        portfolio.readings[symbol_key(symbol)] = Reading((holding("1", symbol),), NOON)
    portfolio.put(position(component("1", closed="1"), component("2", symbol=ETH)))
    assert portfolio.symbols(ACCOUNT) == {symbol_key(ETH)}
    assert portfolio.holders([symbol_key(BTC)]) == frozenset()
    assert set(portfolio.readings) == {symbol_key(ETH)}


def test_positions_are_found_by_their_account_until_the_last_is_gone() -> None:
    portfolio = Portfolio()
    one, two = position(component(of="a"), name="a"), position(component(of="b"), name="b")
    far = position(component(of="c"), name="c", account_id=OTHER_ACCOUNT)
    for each in (two, far, one):
        portfolio.put(each)
    assert portfolio.of_account(ACCOUNT) == sorted((one, two), key=lambda p: p.id)
    portfolio.drop(one.id)
    portfolio.drop(far.id)
    assert portfolio.of_account(ACCOUNT) == [two]
    assert portfolio.account_ids() == {ACCOUNT}


def test_a_spot_leg_moves_to_its_coin_once_that_is_known() -> None:
    portfolio = Portfolio()
    unknown = spot_leg("1", coin=None)
    contract = component("1", symbol=ETH)
    portfolio.put(position(unknown, contract, spot_leg("1", "OLDUSDT", None, closed="1")))
    assert portfolio.coins_unknown() == {key_of(BTC, Category.SPOT)}
    assert portfolio.symbols(ACCOUNT) == {coin_key(BTC), symbol_key(ETH)}
    portfolio.put(position(spot_leg("1"), contract))
    assert portfolio.coins_unknown() == frozenset()
    assert portfolio.symbols(ACCOUNT) == {coin_key("BTC"), symbol_key(ETH)}
    portfolio.readings[coin_key("BTC")] = Reading((balance("1"),), NOON)
    assert len(portfolio.holders([coin_key("BTC")])) == 1
    assert portfolio.holders([coin_key(BTC)]) == frozenset()


# --- closes ---------------------------------------------------------------------------------


def test_a_close_that_ended_never_hides_a_newer_one() -> None:
    portfolio, one = Portfolio(), position()
    old = close_request(one, created_at=NOON)
    new = close_request(one, created_at=NOON + timedelta(seconds=1))
    assert portfolio.note_close(new)
    assert not portfolio.note_close(replace(old, state=RequestState.CANCELLED))
    assert portfolio.last_closes[one.id] is new


def test_a_close_that_ended_is_never_shown_as_open_again() -> None:
    portfolio, one = Portfolio(), position()
    waiting = close_request(one, created_at=NOON)
    cancelled = replace(waiting, state=RequestState.CANCELLED)
    assert portfolio.note_close(waiting)
    assert portfolio.note_close(cancelled)
    assert not portfolio.note_close(replace(waiting, detail="trading is paused"))
    assert portfolio.last_closes[one.id] is cancelled
