from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from positiond.daemon.domain.people import Scope

from ...unit.http.stubs import ALICE, BOB, position_view
from .conftest import Site
from .test_positions import refusal

PNL = f"/api/positions/{position_view('pair').position.id}/pnl"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def test_points_come_with_their_currency_and_null_where_nothing_was_known(
    site: Site,
) -> None:
    reader = await site.bearer(ALICE, Scope.READ)
    async with site.client.get(PNL, headers=reader) as response:
        assert response.status == 200
        assert await response.json() == {
            "pnl": [
                {
                    "at": "2026-03-01T12:00:00.000Z",
                    "unrealized_pnl": "1.50",
                    "net_pnl": None,
                    "currency": "USDT",
                }
            ]
        }
    assert site.house.inquiry.spans == [(None, None)]


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T12:00:00Z", "2026-03-01T14:00:00.000+02:00", "2026-03-01T07:00:00-05:00"],
)
async def test_a_span_is_taken_in_any_offset_from_utc(site: Site, text: str) -> None:
    alice = await site.bearer()
    # The second form forgets to escape the plus, as hand-written requests do.
    for sent in (quote(text), text.replace("+", "%20")):
        async with site.client.get(f"{PNL}?from={sent}&to={sent}", headers=alice) as response:
            assert response.status == 200, await response.text()
    assert site.house.inquiry.spans == [(NOON, NOON)] * 2


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("?from=yesterday", "invalid-value", "from"),
        ("?from=", "invalid-value", "from"),
        ("?to=2026-03-01T12:00:00", "invalid-value", "to"),
        ("?to=2026-03-01", "invalid-value", "to"),
        ("?to=0001-01-01T00:00:00%2B14:00", "invalid-value", "to"),
        ("?to=9999-12-31T23:59:59-14:00", "invalid-value", "to"),
        ("?from=2026-03-01T12:00:01Z&to=2026-03-01T12:00:00Z", "invalid-value", "from"),
        ("?since=2026-03-01T12:00:00Z", "unknown-field", "since"),
    ],
)
async def test_a_span_that_cannot_be_meant_is_refused(
    site: Site, query: str, code: str, field: str
) -> None:
    answer = await refusal(site, "GET", f"{PNL}{query}", headers=await site.bearer())
    assert answer == (422, code, field)
    assert site.house.inquiry.spans == []


async def test_somebody_elses_history_is_as_unknown_as_none(site: Site) -> None:
    bob = await site.bearer(BOB)
    for path in (PNL, "/api/positions/nonsense/pnl"):
        answer = await refusal(site, "GET", path, headers=bob)
        assert answer == (404, "unknown-position", None)
