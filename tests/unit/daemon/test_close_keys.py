"""Keys that may not trade, or are refused: a clear reason on every leg, and nothing lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.domain.errors import CredentialsRefused
from positiond.daemon.domain.model import KeyInfo, PositionStatus
from positiond.daemon.domain.orders import (
    CloseTerms,
    LegOutcome,
    RequestState,
)

from ...builders import ACCOUNT, BTC, ETH, SHORT, component, instrument
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, REJECTED, RESIDUAL = LegOutcome.FLAT, LegOutcome.REJECTED, LegOutcome.RESIDUAL
CONTRACTS_ONLY = KeyInfo(
    "1", False, {"ContractTrade": ("Order",), "Options": (), "Spot": ()}, (), None
)
KEYLESS = Reaction(refused=(10003, "API key is invalid"), of_key=True)
REVOKED = CredentialsRefused("credentials", "the API key is invalid", ret_code=10003)


@in_fake_time
async def test_a_read_only_key_is_the_reason_on_every_leg() -> None:
    stage = Stage()
    stage.portfolio.accounts[ACCOUNT].key_info = KeyInfo("1", True, {}, (), None)
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "read-only-key", [])
    assert [(leg.outcome, leg.detail) for leg in ended.legs] == [
        (REJECTED, "the API key may not trade")
    ] * 2


@in_fake_time
async def test_a_position_with_nothing_open_needs_no_key_that_may_trade() -> None:
    stage = Stage()
    stage.portfolio.accounts[ACCOUNT].key_info = KeyInfo("1", True, {}, (), None)
    one = stage.record(component("1", closed="1"))
    ended = await stage.close(one)
    assert (ended.state, stage.status(one), stage.venue.sent) == (DONE, PositionStatus.CLOSED, [])


@in_fake_time
async def test_a_key_that_may_not_trade_one_leg_closes_no_leg() -> None:
    stage = Stage()
    stage.portfolio.accounts[ACCOUNT].key_info = CONTRACTS_ONLY
    stage.door.rules["BTCPERP"] = instrument("BTCPERP", settle_coin="USDC")
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, "BTCPERP")))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "key-lacks-right", [])
    assert [(leg.outcome, leg.detail) for leg in ended.legs] == [
        (RESIDUAL, "nothing was sent"),
        (REJECTED, "BTCPERP: the API key lacks the right Options.OptionsTrade"),
    ]


@in_fake_time
async def test_a_leg_with_nothing_left_to_sell_needs_no_right() -> None:
    stage = Stage()
    stage.portfolio.accounts[ACCOUNT].key_info = CONTRACTS_ONLY
    stage.door.rules["BTCPERP"] = instrument("BTCPERP", settle_coin="USDC")
    one = stage.record(component("1"), component("2", SHORT, "BTCPERP"))
    stage.venue.trade("BTCPERP", "2")
    ended = await stage.close(one)
    assert (ended.state, len(stage.venue.sent)) == (DONE, 1)
    assert stage.status(one) is PositionStatus.CLOSED


@in_fake_time
async def test_a_key_that_is_revoked_before_the_close_ends_it_at_once() -> None:
    stage = Stage()
    stage.venue.refuses_reads = REVOKED
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "key-refused", [REJECTED])
    assert now() < ended.created_at + timedelta(seconds=2)


@in_fake_time
async def test_a_key_revoked_half_way_ends_with_what_was_filled_and_why_no_more() -> None:
    stage = Stage()

    def revoke() -> None:
        stage.venue.refuses_reads = REVOKED

    refused = replace(KEYLESS, before=revoke)
    stage.venue.script.extend([Reaction(), refused])
    one = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(one)
    assert (ended.state, ended.code) == (FAILED, "key-refused")
    assert sorted(outcomes(ended)) == [FLAT, REJECTED]
    assert any("API key" in leg.detail for leg in ended.legs if leg.outcome is REJECTED)
    assert [c.open for c in stage.ledger.positions[one.id].components] in ([0, 2], [1, 0])
    assert stage.status(one) is PositionStatus.ACTIVE


@in_fake_time
async def test_a_key_revoked_after_all_was_filled_ends_with_what_to_do_and_that_helps() -> None:
    stage = Stage()
    stage.once[RequestState.VERIFYING] = lambda: setattr(stage.venue, "refuses_reads", REVOKED)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "key-refused", [FLAT])
    assert "ask for the close again" in (ended.detail or "")
    assert stage.status(one) is PositionStatus.ACTIVE
    stage.venue.refuses_reads = None
    again = await stage.close(stage.ledger.positions[one.id])
    assert (again.state, stage.status(one)) == (DONE, PositionStatus.CLOSED)
    assert len(stage.venue.sent) == 1


@in_fake_time
async def test_a_part_that_was_filled_before_the_key_was_revoked_asks_for_nothing_more() -> None:
    stage = Stage()
    stage.once[RequestState.VERIFYING] = lambda: setattr(stage.venue, "refuses_reads", REVOKED)
    ended = await stage.close(stage.record(component("1")), CloseTerms(fraction=Decimal("0.5")))
    assert (ended.code, outcomes(ended)) == ("key-refused", [FLAT])
    assert (ended.detail or "").endswith("but no size could be read after it")


@in_fake_time
async def test_a_key_that_is_refused_for_a_moment_only_delays_the_end() -> None:
    stage = Stage()
    stage.once[RequestState.VERIFYING] = lambda: setattr(stage.venue, "refuses_reads", REVOKED)
    stage.at(20, lambda: setattr(stage.venue, "refuses_reads", None))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    assert any("the API key is invalid" in note for note in stage.notes())


@in_fake_time
async def test_a_remainder_is_sent_once_a_key_that_was_refused_for_a_moment_works_again() -> None:
    stage = Stage()

    def revoke() -> None:
        stage.venue.refuses_reads = REVOKED
        stage.at(20, lambda: setattr(stage.venue, "refuses_reads", None))

    stage.venue.script.append(Reaction(fills="0.4", before=revoke))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended), len(stage.venue.sent)) == (DONE, [FLAT], 2)
    assert any("the API key is invalid" in note for note in stage.notes())


@in_fake_time
async def test_an_order_that_the_key_was_refused_for_once_is_followed_by_another() -> None:
    stage = Stage(Reaction(), KEYLESS)
    one = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    # Another attempt under an id of its own, and no more than the leg.
    assert len(stage.venue.sent) == len(set(stage.venue.link_ids())) == 3
    assert (stage.venue.size(BTC), stage.venue.size(ETH)) == (0, 0)
    assert any("refuses the API key: Bybit 10003: API key" in note for note in stage.notes())


@in_fake_time
async def test_a_key_that_is_refused_for_every_order_ends_the_leg_after_half_a_minute() -> None:
    stage = Stage(*[KEYLESS] * 100)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "rejected", [REJECTED])
    assert ended.legs[0].detail == "Bybit 10003: API key is invalid"
    waited = now() - ended.created_at
    assert timedelta(seconds=30) <= waited < timedelta(seconds=45)
    # More than any number of idle attempts would allow, and no burst.
    assert 3 <= len(stage.venue.sent) < 30


@in_fake_time
async def test_a_key_refused_for_every_order_of_a_remainder_leaves_it_with_the_reason() -> None:
    stage = Stage(Reaction(fills="0.4"), *[KEYLESS] * 100)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "residual", [RESIDUAL])
    assert ended.legs[0].detail == "0.6 is still open: Bybit 10003: API key is invalid"


@in_fake_time
async def test_the_half_minute_of_a_refused_key_is_one_over_a_restart() -> None:
    stage = Stage(*[KEYLESS] * 100)
    request = stage.ledger.open_close(stage.record(component("1")))
    killed = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(25)
    killed.cancel()
    await asyncio.wait({killed})
    stage.restart()
    await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.code, outcomes(ended)) == ("rejected", [REJECTED])
    assert now() < ended.created_at + timedelta(seconds=45)


@in_fake_time
async def test_an_unknown_order_outlasts_a_revoked_key() -> None:
    stage = Stage(Reaction(is_lost=True))
    stage.venue.lookups_fail_until = now() + timedelta(hours=1)
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(3000)
        assert stage.ledger.requests[request.id].state is RequestState.SETTLING
    assert stage.ledger.requests[request.id].state is FAILED


@in_fake_time
async def test_a_remainder_that_the_key_may_not_read_for_is_left_with_the_reason() -> None:
    stage = Stage()
    stage.venue.script.append(
        Reaction(fills="0.4", before=lambda: setattr(stage.venue, "refuses_reads", REVOKED))
    )
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, len(stage.venue.sent)) == (FAILED, "key-refused", 1)
    # The half minute of the remainder's reads is not waited for again by the last read.
    assert now() < ended.created_at + timedelta(seconds=45)
    assert ended.legs[0].filled == Decimal("0.4")
