from __future__ import annotations

import pytest
from positiond.daemon.domain.errors import ExchangeUnreachable, Throttled
from positiond.daemon.domain.people import Scope

from ...unit.http.stubs import ALICE, BOB, account_of
from .conftest import Site
from .test_positions import refusal

MAIN = account_of(ALICE).id
HOLDINGS, RECONCILE = f"/api/accounts/{MAIN}/holdings", f"/api/accounts/{MAIN}/reconcile"


async def test_holdings_tell_what_is_free_to_be_recorded(site: Site) -> None:
    reader = await site.bearer(ALICE, Scope.READ)
    async with site.client.get(HOLDINGS, headers=reader) as response:
        assert response.status == 200
        assert await response.json() == {
            "holdings": [
                {
                    "category": "linear",
                    "symbol": "BTCUSDT",
                    "position_idx": 0,
                    "total": "0.9",
                    "tracked": "0.5",
                    "unassigned": "0.1",
                    "free": "0.3",
                    "entry_price": "100.5",
                    "price": None,
                }
            ],
            "read_at": "2026-03-01T12:00:00.000Z",
            "incomplete": None,
        }


async def test_a_compare_is_asked_for(site: Site) -> None:
    alice = await site.bearer()
    async with site.client.post(RECONCILE, headers=alice) as response:
        assert (response.status, await response.json()) == (202, {})
    async with site.client.post(RECONCILE, json={}, headers=alice) as response:
        assert response.status == 202
    assert site.house.account_desk.reconciled == [MAIN, MAIN]
    answer = await refusal(site, "POST", RECONCILE, json={"now": True}, headers=alice)
    assert answer == (422, "unknown-field", "now")


async def test_somebody_elses_account_is_as_unknown_as_none(site: Site) -> None:
    bob = await site.bearer(BOB)
    for account in (MAIN, "nonsense"):
        for method, path in (("GET", "holdings"), ("POST", "reconcile")):
            answer = await refusal(site, method, f"/api/accounts/{account}/{path}", headers=bob)
            assert answer == (404, "unknown-account", None)
    assert site.house.account_desk.reconciled == []


async def test_a_reading_token_asks_for_no_compare(site: Site) -> None:
    reader = await site.bearer(ALICE, Scope.READ)
    answer = await refusal(site, "POST", RECONCILE, headers=reader)
    assert answer == (403, "scope-read-only", None)


async def test_a_compare_too_soon_says_when_to_come_back(site: Site) -> None:
    site.house.account_desk.error = Throttled("reconciled-just-now", "Wait.", retry_after=7.2)
    async with site.client.post(RECONCILE, headers=await site.bearer()) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "8"
        assert (await response.json(content_type=None))["code"] == "reconciled-just-now"


@pytest.mark.parametrize("code", ["exchange-unreachable", "account-not-connected"])
async def test_holdings_that_cannot_be_read_are_not_shown_in_part(site: Site, code: str) -> None:
    site.house.account_desk.error = ExchangeUnreachable(code, "No answer.")
    answer = await refusal(site, "GET", HOLDINGS, headers=await site.bearer())
    assert answer == (503, code, None)
