from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from positiond.daemon.domain.errors import InvalidInput, NotFound
from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.domain.model import PositionId, UserId
from positiond.daemon.domain.views import PositionDetail
from positiond.daemon.inquiry import Inquiry

from ...builders import ALICE, BOB, NOON, position

ONE = position()


class Past:
    """Implements Board and Evidence as far as an inquiry asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime, int]] = []

    async def view(self, user_id: UserId, position_id: PositionId) -> object:
        return "view" if (user_id, position_id) == (ALICE, ONE.id) else None

    async def deviations_of(self, position_id: PositionId, limit: int) -> list[str]:
        return ["deviation"]

    async def closes_of(self, position_id: PositionId, limit: int) -> list[str]:
        return ["close"]

    async def events_of(self, position_id: PositionId, limit: int) -> list[str]:
        return ["event"]

    async def history(
        self, position_id: PositionId, start: datetime, end: datetime, limit: int
    ) -> list[PnlPoint]:
        self.asked.append((start, end, limit))
        return []


def inquiry(past: Past) -> Inquiry:
    return Inquiry(cast(Any, past), cast(Any, past), lambda: NOON)


async def test_the_detail_holds_the_view_and_the_past() -> None:
    detail = await inquiry(Past()).detail(ALICE, ONE.id)
    assert detail == PositionDetail(
        cast(Any, "view"),
        cast(Any, ("deviation",)),
        cast(Any, ("close",)),
        cast(Any, ("event",)),
    )


async def test_somebody_elses_position_has_no_past() -> None:
    past = Past()
    with pytest.raises(NotFound):
        await inquiry(past).detail(BOB, ONE.id)
    with pytest.raises(NotFound):
        await inquiry(past).history(BOB, ONE.id, None, None)
    assert past.asked == []


@pytest.mark.parametrize(
    ("start", "end", "asked"),
    [
        (None, None, (NOON - timedelta(hours=24), NOON)),
        (NOON - timedelta(days=9), None, (NOON - timedelta(days=9), NOON)),
        (None, NOON - timedelta(days=2), (NOON - timedelta(days=3), NOON - timedelta(days=2))),
    ],
)
async def test_history_is_the_last_day_unless_it_is_said_otherwise(
    start: datetime | None, end: datetime | None, asked: tuple[datetime, datetime]
) -> None:
    past = Past()
    await inquiry(past).history(ALICE, ONE.id, start, end)
    assert past.asked == [(*asked, 1500)]


async def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        await inquiry(Past()).history(ALICE, ONE.id, NOON, NOON - timedelta(seconds=1))
    assert caught.value.field == "from"
