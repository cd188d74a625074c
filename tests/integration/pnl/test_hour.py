"""A recorded hour through the daemon's own path: every P&L equals an independent script's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import pytest

from ...captures.corpus import POSITIONS, Frame, frames, instrument_rows
from ...captures.reference import Reference
from .side_by_side import Daemon, both

EVERY = 5
# Streams that are lost a little before the snapshots that follow an outage.
LOST_BEFORE = 30
OUTAGES = (("inverse",), ("linear",), ("spot", "option"))


def outages() -> dict[int, tuple[str, ...]]:
    """At which frame which streams are lost."""
    quarters = [
        number
        for number, frame in enumerate(frames())
        if number and (frame.category, frame.symbol) == ("linear", "BTCUSDT") and frame.is_snapshot
    ]
    return {at - LOST_BEFORE: lost for at, lost in zip(quarters, OUTAGES, strict=True)}


def played() -> Iterator[tuple[int, Frame, Daemon, Reference]]:
    daemon, reference = Daemon(instrument_rows(), POSITIONS), Reference(instrument_rows())
    losses = outages()
    for number, frame in enumerate(frames()):
        for category in losses.get(number, ()):
            daemon.lose(category)
            reference.lose(category)
        daemon.take(frame.category, frame.text)
        reference.take(frame.category, frame.text)
        yield number, frame, daemon, reference


def test_the_recording_holds_what_it_is_said_to_hold() -> None:
    told = frames()
    kinds = Counter((frame.category, frame.symbol) for frame in told)
    assert set(kinds) == {(row["category"], row["symbol"]) for row in instrument_rows()}
    assert set(kinds) == {(leg.category, leg.symbol) for held in POSITIONS for leg in held.legs}
    assert min(kinds.values()) > 500
    assert len(told) > 10_000
    assert sum(frame.is_snapshot for frame in told if frame.category == "linear") == 16


def test_every_pnl_of_the_hour_equals_the_script_to_the_last_digit() -> None:
    instants, incomplete = 0, 0
    near_outages = {n + more for n in outages() for more in range(3 * LOST_BEFORE)}
    for number, _, daemon, reference in played():
        if number % EVERY and number > 100 and number not in near_outages:
            continue
        for name, ours, theirs in both(daemon, reference, POSITIONS):
            assert ours == theirs, f"{name} after frame {number}"
            incomplete += ours[1][0] is None
        instants += 1
    assert instants > 2_000
    # What is not known was part of the hour, and not most of it.
    assert 100 < incomplete < instants * len(POSITIONS) / 10


def test_the_script_itself_is_right_to_more_digits_than_anyone_pays() -> None:
    reference = Reference(instrument_rows())
    shown: dict[tuple[str, str], Fraction] = {}
    for number, frame in enumerate(frames()):
        reference.take(frame.category, frame.text)
        if number % 500 or number < 500:
            continue
        for held in POSITIONS:
            for leg in held.legs:
                mark = reference.shown(leg)
                pnl = reference.leg(leg)
                assert mark is not None
                assert pnl is not None
                shown[leg.category, leg.symbol] = Fraction(mark)
                signed = Fraction(leg.quantity) - Fraction(leg.closed)
                signed = -signed if leg.side == "Sell" else signed
                entry, now = Fraction(leg.entry), Fraction(mark)
                if leg.category == "inverse":
                    exact = signed / entry - signed / now
                    assert abs(Fraction(pnl) - exact) < Fraction(1, 10**22)
                else:
                    assert Fraction(pnl) == signed * now - signed * entry
    assert len(shown) == len(instrument_rows())


@pytest.mark.parametrize("change", ["price", "dollar price", "loss"])
def test_one_frame_more_or_less_is_a_difference(change: str) -> None:
    """The comparison can fail: the two are told different things once."""
    daemon, reference = Daemon(instrument_rows(), POSITIONS), Reference(instrument_rows())
    for frame in frames()[:3000]:
        daemon.take(frame.category, frame.text)
        reference.take(frame.category, frame.text)
    assert all(ours == theirs for _, ours, theirs in both(daemon, reference, POSITIONS))
    known = reference.shown(POSITIONS[0].legs[0])
    assert known is not None
    match change:
        case "price":
            reference.take("linear", _delta("BTCUSDT", "markPrice", known + Decimal("0.1")))
        case "dollar price":
            reference.take("spot", _delta("BTCUSDT", "usdIndexPrice", known + Decimal("0.1")))
        case _:
            reference.lose("option")
    found = {n for n, ours, theirs in both(daemon, reference, POSITIONS) if ours != theirs}
    expected = {
        "price": {"pair in USDT", "cash and carry", "coin against dollars"},
        "dollar price": {
            "cash and carry",
            "coin against dollars",
            "cross pair alone",
            "cross pair hedged",
            "two coins",
            "everything",
        },
        "loss": {"strangle", "everything"},
    }
    assert found == expected[change]


def _delta(symbol: str, field: str, value: Decimal) -> str:
    return f'{{"topic":"tickers.{symbol}","type":"delta","data":{{"{field}":"{value}"}}}}'
