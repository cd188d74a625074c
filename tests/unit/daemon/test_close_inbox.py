"""What the stream tells of our orders: kept by link id, the fuller report wins."""

from __future__ import annotations

from positiond.daemon.close_inbox import Inboxes
from positiond.daemon.domain.events import (
    AccountEvent,
    AccountFeedUp,
    FillSeen,
    HoldingSeen,
    OrderSeen,
)
from positiond.daemon.domain.model import OrderReport, OrderStatus

from ...builders import ACCOUNT, fill, holding, report

OPEN, FILLED, CANCELLED = OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.CANCELLED


def delivered(*events: AccountEvent) -> Inboxes:
    inboxes = Inboxes()
    _ = inboxes["link-1"]
    for event in events:
        inboxes.deliver(event)
    return inboxes


def last_report(*reports: OrderReport) -> OrderReport | None:
    return delivered(*(OrderSeen(ACCOUNT, one) for one in reports))["link-1"].report


def test_reports_and_fills_of_an_open_id_are_kept_and_announced() -> None:
    inbox = delivered(OrderSeen(ACCOUNT, report()))["link-1"]
    assert inbox.news.is_set()
    assert inbox.report == report()
    inbox = delivered(FillSeen(ACCOUNT, fill()))["link-1"]
    assert inbox.news.is_set()
    assert list(inbox.fills.values()) == [fill()]


def test_other_peoples_orders_are_not_kept() -> None:
    inboxes = delivered(
        OrderSeen(ACCOUNT, report(link_id="by-hand")),
        OrderSeen(ACCOUNT, report(link_id="")),
        FillSeen(ACCOUNT, fill(link_id="by-hand")),
        HoldingSeen(ACCOUNT, holding()),
        AccountFeedUp(ACCOUNT),
    )
    assert not inboxes["link-1"].news.is_set()
    assert inboxes["by-hand"].report is None
    assert inboxes["by-hand"].fills == {}


def test_funding_under_an_id_is_no_fill() -> None:
    funding = fill(exec_type="Funding", changes_size=False)
    inbox = delivered(FillSeen(ACCOUNT, funding))["link-1"]
    assert (inbox.fills, inbox.news.is_set()) == ({}, False)


def test_a_repeated_execution_is_one_fill() -> None:
    inbox = delivered(FillSeen(ACCOUNT, fill()), FillSeen(ACCOUNT, fill()))["link-1"]
    assert len(inbox.fills) == 1


def test_an_end_is_not_undone_by_a_report_that_was_under_way() -> None:
    ended = report(status=FILLED)
    assert last_report(ended, report(filled="0.4", status=OPEN)) == ended
    assert last_report(report(filled="0.4", status=OPEN), ended) == ended


def test_of_two_ends_the_fuller_one_counts() -> None:
    fuller = report(filled="0.7", status=CANCELLED)
    assert last_report(report(filled="0.4", status=CANCELLED), fuller) == fuller
    assert last_report(fuller, report(filled="0.4", status=CANCELLED)) == fuller


def test_after_the_close_its_ids_are_forgotten_even_those_added_on_the_way() -> None:
    inboxes, link_ids = Inboxes(), {"link-1"}
    with inboxes.closing(link_ids):
        _ = inboxes["link-1"], inboxes["link-2"]
        link_ids.add("link-2")
        inboxes.deliver(FillSeen(ACCOUNT, fill(link_id="link-2")))
        assert inboxes["link-2"].fills
    inboxes.deliver(FillSeen(ACCOUNT, fill(link_id="link-2")))
    assert inboxes["link-2"].fills == {}
