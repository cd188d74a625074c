"""Positions as the lists and the stream spell them."""

import pytest
from positiond.bybit.paper.encode_position import Shown, position_frame_row, position_row

from .floor import Floor


@pytest.mark.parametrize(
    ("symbol", "listed", "pushed"), [("BTCUSDT", "", "0"), ("BTCPERP", None, None)]
)
def test_only_usdc_contracts_show_a_session_average(
    floor: Floor, symbol: str, listed: str | None, pushed: str | None
) -> None:
    floor.deposit("USDC", 100_000)
    floor.order(symbol=symbol, qty="0.1")
    shown = Shown(floor.position(symbol), floor.quote(symbol))
    entry = position_row(shown)["avgPrice"]
    assert position_row(shown)["sessionAvgPrice"] == (entry if listed is None else listed)
    assert position_frame_row(shown)["sessionAvgPrice"] == (entry if pushed is None else pushed)
    assert entry == position_frame_row(shown)["entryPrice"] != "0"
