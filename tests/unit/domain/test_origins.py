"""Whose doing an execution was, over every word of Bybit's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from positiond.daemon.domain.deviations import CauseKind
from positiond.daemon.domain.origins import origin_of

from ...builders import fill

K = CauseKind
TRADE = "Trade"


@pytest.mark.parametrize(
    ("exec_type", "create_type", "stop_type", "kind", "words"),
    [
        (TRADE, "CreateByUser", "UNKNOWN", K.BY_HAND, "by hand"),
        (TRADE, "", "", K.BY_HAND, "by hand"),
        (TRADE, "CreateByClosing", "", K.BY_HAND, "by hand"),
        (TRADE, "CreateByBboOrder", "", K.BY_HAND, "by hand"),
        (TRADE, "CreateByChaseOrder", "", K.BY_HAND, "by hand"),
        (TRADE, "CreateByStopOrder", "Stop", K.BY_HAND, "by a conditional order"),
        (TRADE, "", "Stop", K.BY_HAND, "by a conditional order"),
        (TRADE, "CreateByStopOrder", "", K.BY_HAND, "by a conditional order"),
        (TRADE, "CreateByStopOrder", "tpslOrder", K.STOP_LOSS, "by a take-profit or stop-loss"),
        (TRADE, "OcoOrder", "OcoOrder", K.STOP_LOSS, "by a take-profit or stop-loss order"),
        (TRADE, "CreateByFutureSpread", "", K.BY_HAND, "by a spread trade"),
        ("FutureSpread", "", "", K.BY_HAND, "by a spread trade"),
        ("BustTrade", "CreateByTakeOver_PassThrough", "", K.LIQUIDATION, "by liquidation"),
        (TRADE, "CreateByLiq", "", K.LIQUIDATION, "by liquidation"),
        (TRADE, "CreateByTakeOver_PassThrough", "", K.LIQUIDATION, "by liquidation"),
        (TRADE, "CreateByMmRateClose", "", K.LIQUIDATION, "maintenance margin rate"),
        ("AdlTrade", "CreateByAdl_PassThrough", "", K.ADL, "by ADL"),
        ("AdlTrade", "", "", K.ADL, "by ADL"),
        (TRADE, "CreateByAdl_PassThrough", "", K.ADL, "by ADL"),
        (TRADE, "CreateByTakeProfit", "TakeProfit", K.TAKE_PROFIT, "by take-profit"),
        (TRADE, "CreateByPartialTakeProfit", "", K.TAKE_PROFIT, "by take-profit"),
        (TRADE, "", "TakeProfit", K.TAKE_PROFIT, "by take-profit"),
        (TRADE, "", "PartialTakeProfit", K.TAKE_PROFIT, "by take-profit"),
        (TRADE, "CreateByStopLoss", "StopLoss", K.STOP_LOSS, "by stop-loss"),
        (TRADE, "CreateByPartialStopLoss", "", K.STOP_LOSS, "by stop-loss"),
        (TRADE, "", "PartialStopLoss", K.STOP_LOSS, "by stop-loss"),
        (TRADE, "", "tpslOrder", K.STOP_LOSS, "by a take-profit or stop-loss order"),
        (TRADE, "", "OcoOrder", K.STOP_LOSS, "by a take-profit or stop-loss order"),
        (TRADE, "CreateByTrailingStop", "", K.TRAILING_STOP, "by trailing stop"),
        (TRADE, "CreateByTrailingProfit", "", K.TRAILING_STOP, "by trailing stop"),
        (TRADE, "", "TrailingStop", K.TRAILING_STOP, "by trailing stop"),
        ("Delivery", "CreateBySettle", "", K.DELIVERY, ""),
        ("Settle", "CreateBySettle", "", K.SETTLEMENT, ""),
        (TRADE, "CreateBySettle", "", K.SETTLEMENT, ""),
        ("MovePosition", "", "", K.MOVE_POSITION, "by a position move"),
        (
            TRADE,
            "CreateByBlockTradeMovePosition_PassThrough",
            "",
            K.MOVE_POSITION,
            "by a position move",
        ),
        ("BlockTrade", "", "", K.BLOCK_TRADE, "by a block trade"),
        (TRADE, "CreateByBlock_PassThrough", "", K.BLOCK_TRADE, "by a block trade"),
        ("CorporateAction", "", "", K.CORPORATE_ACTION, "by a corporate action"),
        (TRADE, "CreateByFGridBot", "", K.BOT, "by a grid bot"),
        (TRADE, "CloseByFGridBot", "", K.BOT, "by a grid bot"),
        (TRADE, "CreateByMartingaleBot", "", K.BOT, "by a martingale bot"),
        (TRADE, "CloseByMartingaleBot", "", K.BOT, "by a martingale bot"),
        (TRADE, "CreateByTWAP", "", K.BOT, "by a TWAP order"),
        (TRADE, "CreateByIceBerg", "", K.BOT, "by an iceberg order"),
        (TRADE, "CreateByTVSignal", "", K.BOT, "by a TradingView signal"),
        (TRADE, "CreateByArbitrage", "", K.BOT, "by an arbitrage bot"),
        (TRADE, "CreateByDdh", "", K.BOT, "by dynamic delta hedging"),
        (TRADE, "CreateByAdminClosing", "", K.UNKNOWN, "CreateByAdminClosing"),
        (TRADE, "CreateByTomorrow", "", K.UNKNOWN, "of the unknown kind CreateByTomorrow"),
        (TRADE, "", "Tomorrow", K.UNKNOWN, "of the unknown kind Tomorrow"),
        ("Tomorrow", "CreateByUser", "", K.UNKNOWN, "of the unknown type Tomorrow"),
        ("", "CreateByUser", "", K.UNKNOWN, "of the unknown type (none)"),
    ],
)
def test_every_word_has_its_kind(
    exec_type: str, create_type: str, stop_type: str, kind: CauseKind, words: str
) -> None:
    made = replace(
        fill(exec_type=exec_type, link_id=""), create_type=create_type, stop_order_type=stop_type
    )
    origin = origin_of(made, {})
    assert origin.kind is kind
    assert words in origin.words


def test_an_order_of_ours_is_named_by_its_position() -> None:
    origin = origin_of(fill(link_id="pd-1"), {"pd-1": "carry"})
    assert (origin.kind, origin.words) == (K.OTHER_POSITION, "by the close of our position “carry”")


def test_an_order_with_our_mark_that_nobody_knows_is_not_called_a_hand_trade() -> None:
    origin = origin_of(fill(link_id="pd-stranger"), {})
    assert origin.kind is K.UNKNOWN
    assert "pd-stranger" in origin.words


def test_the_id_of_another_program_is_a_hand_trade_of_its_owner() -> None:
    assert origin_of(fill(link_id="x-123"), {}).kind is K.BY_HAND


def test_a_word_of_any_length_is_cut() -> None:
    made = replace(fill(link_id=""), create_type="x" * 5000)
    assert len(origin_of(made, {}).words) < 120
