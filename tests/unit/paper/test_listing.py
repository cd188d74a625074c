"""What is listed, by the table and by the calendar."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from positiond.bybit.paper.expiries import date_name, date_of, expiries_after, quarter_of, to_ms
from positiond.bybit.paper.listing import dated_by_name, default_listing
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.vocab import Category, InstrumentStatus

START = datetime(2025, 10, 9, 8, 53, tzinfo=UTC)


def test_every_filter_fits_the_others() -> None:
    listing = default_listing()
    assert len(listing.all()) > 500
    assert len({i.key for i in listing.all()}) == len(listing.all())
    for i in listing.all():
        assert i.is_on_tick(i.price), i.symbol
        assert i.is_on_step(i.min_qty), i.symbol
        assert i.is_on_step(i.max_market_qty), i.symbol
        assert i.min_qty <= i.max_market_qty <= i.max_order_qty, i.symbol


@pytest.mark.parametrize(
    ("category", "symbol"),
    [
        (Category.LINEAR, "1000PEPEUSDT"),
        (Category.LINEAR, "BTCPERP"),
        (Category.LINEAR, "BTCUSDT-26DEC25"),
        (Category.LINEAR, "ETH-26DEC25"),
        (Category.INVERSE, "BTCUSD"),
        (Category.INVERSE, "BTCUSDZ25"),
        (Category.SPOT, "BTCUSDT"),
        (Category.SPOT, "ETHBTC"),
        (Category.OPTION, "BTC-26DEC25-100000-C"),
        (Category.OPTION, "BTC-26DEC25-100000-P-USDT"),
    ],
)
def test_every_kind_is_listed_as_the_venue_spells_it(category: Category, symbol: str) -> None:
    assert default_listing().get(category, symbol).is_trading


def test_a_dated_contract_is_found_again_by_its_name() -> None:
    for i in default_listing().all():
        if i.delivery_ms:
            assert dated_by_name(i.category, i.symbol) == i


@pytest.mark.parametrize(
    ("category", "symbol"),
    [
        (Category.OPTION, "BTC-31FEB26-100000-C"),
        (Category.OPTION, "BTC-26DEC25-100000-X"),
        (Category.OPTION, "DOGE-26DEC25-1-C"),
        (Category.INVERSE, "BTCUSDA25"),
        (Category.LINEAR, "BTCUSDT"),
        (Category.LINEAR, "XRPUSDT-26DEC25"),
        (Category.SPOT, "BTCUSDT-26DEC25"),
    ],
)
def test_a_name_that_was_never_listed_is_not_revived(category: Category, symbol: str) -> None:
    listing = default_listing()
    known = listing.has(category, symbol)
    listing.revive(category, symbol)
    assert listing.has(category, symbol) is known


def test_a_contract_of_earlier_days_comes_back_closed() -> None:
    listing = default_listing()
    revived = listing.revive(Category.LINEAR, "BTCUSDT-27JUN25")
    assert revived is not None
    assert revived.status is InstrumentStatus.CLOSED
    with pytest.raises(Refused):
        listing.get(Category.LINEAR, "BTCUSDT-28JUN24")


def test_everything_expires_at_eight_and_weeks_and_months_on_fridays() -> None:
    calendar = expiries_after(to_ms(START))
    assert calendar.daily == datetime(2025, 10, 10, 8, tzinfo=UTC)
    assert calendar.weekly[0] == datetime(2025, 10, 10, 8, tzinfo=UTC)
    assert calendar.monthly == datetime(2025, 10, 31, 8, tzinfo=UTC)
    assert calendar.quarterly[1] == datetime(2026, 3, 27, 8, tzinfo=UTC)


def test_what_is_listed_stays_listed_until_it_is_over() -> None:
    open_dates: set[datetime] = set()
    for hours in range(0, 24 * 400, 6):
        now = START + timedelta(hours=hours)
        calendar = expiries_after(to_ms(now))
        listed = {*calendar.of_futures, *calendar.of_options}
        assert {day for day in open_dates if day > now} <= listed
        assert all(day > now for day in listed)
        open_dates = listed


def test_dates_are_spelled_without_a_leading_zero() -> None:
    day = datetime(2025, 12, 5, 8, tzinfo=UTC)
    assert date_name(day) == "5DEC25"
    assert date_of("5DEC25") == day
    assert date_of("5DEX25") is None
    assert quarter_of("Z25") == datetime(2025, 12, 26, 8, tzinfo=UTC)


def test_an_inverse_contract_is_one_dollar() -> None:
    i = default_listing().get(Category.INVERSE, "BTCUSD")
    assert i.value(D(300), D("27464.5")) == D(300) / D("27464.5")


def test_an_option_s_fee_is_capped_by_its_price() -> None:
    i = default_listing().get(Category.OPTION, "BTC-26DEC25-100000-C")
    assert i.fee(D(2), D(5000), D(100_000), D("0.0003")) == D(60)
    assert i.fee(D(2), D(5), D(100_000), D("0.0003")) == D("0.70")
    assert i.delivery_cost(D(1), D(99_000)) == 0
    assert i.delivery_cost(D(1), D(100_010)) == D("1.25")
    assert i.delivery_cost(D(1), D(120_000)) == D(18)
