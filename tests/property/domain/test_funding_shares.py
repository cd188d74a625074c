"""What is shared of funding payments, over generated buckets."""

from __future__ import annotations

import random
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.funding import FundingClaim, FundingPayment, split
from positiond.daemon.domain.model import ComponentId, PositionId

from ...builders import NOON, symbol_key, uuid_of
from ...unit.domain.samples import steady

thirds = st.integers(1, 999).map(lambda n: Decimal(n) / 1000)
opens = st.integers(-999, 999).map(lambda n: Decimal(n) / 1000)
amounts = st.integers(-(10**12), 10**12).map(lambda n: Decimal(n) / 10**8)
claims_of = st.lists(st.tuples(st.integers(0, 3), opens), max_size=6)
QUANTUM = Decimal("1e-18")


def payment(amount: Decimal, size: Decimal) -> FundingPayment:
    return FundingPayment("exec-1", symbol_key(), size, amount, "USDT", NOON)


def claims(drawn: list[tuple[int, Decimal]]) -> list[FundingClaim]:
    return [
        FundingClaim(ComponentId(uuid_of(f"leg {n}")), PositionId(uuid_of(f"p{owner}")), open_)
        for n, (owner, open_) in enumerate(drawn)
    ]


@steady
@given(claims_of, amounts)
def test_a_bucket_in_sync_without_an_unassigned_part_is_shared_to_the_last_digit(
    drawn: list[tuple[int, Decimal]], amount: Decimal
) -> None:
    size = sum((open_ for _, open_ in drawn), Decimal(0))
    found = split(payment(amount, size), claims(drawn), Decimal(0))
    assert sum((s.amount for s in found), Decimal(0)) == (amount if size else 0)


@steady
@given(
    st.lists(st.tuples(st.integers(0, 3), thirds), min_size=1, max_size=6),
    st.sampled_from((1, -1)),
    st.integers(0, 999),
    thirds,
    amounts,
)
def test_claims_of_one_direction_never_share_more_than_the_payment(
    drawn: list[tuple[int, Decimal]], sign: int, unassigned: int, size: Decimal, amount: Decimal
) -> None:
    ours = claims([(owner, sign * open_) for owner, open_ in drawn])
    for direction in (1, -1):
        found = split(payment(amount, direction * size), ours, sign * Decimal(unassigned) / 1000)
        assert all(s.amount * amount > 0 for s in found)
        assert abs(sum((s.amount for s in found), Decimal(0))) <= abs(amount)
        assert bool(found) is (direction == sign and amount != 0)


@steady
@given(claims_of, opens, opens, amounts)
def test_a_share_is_its_claims_part_by_the_unit(
    drawn: list[tuple[int, Decimal]], unassigned: Decimal, size: Decimal, amount: Decimal
) -> None:
    expected = sum((open_ for _, open_ in drawn), unassigned)
    found = split(payment(amount, size), claims(drawn), unassigned)
    if expected * size < 0 or not size:
        assert found == []
        return
    whole = max((size, expected), key=abs)
    for share in found:
        held = sum(c.signed_open for c in claims(drawn) if c.position_id == share.position_id)
        # At most one unit of rounding for each of the four who share the remainder.
        assert abs(share.amount * whole - amount * held) <= 4 * QUANTUM * abs(whole)
    assert len({s.position_id for s in found}) == len(found)


@steady
@given(claims_of, opens, opens, amounts, st.randoms(use_true_random=False))
def test_the_order_of_the_claims_never_matters(
    drawn: list[tuple[int, Decimal]],
    unassigned: Decimal,
    size: Decimal,
    amount: Decimal,
    shuffle: random.Random,
) -> None:
    ours = claims(drawn)
    mixed = shuffle.sample(ours, len(ours))
    paid = payment(amount, size)
    assert split(paid, mixed, unassigned) == split(paid, ours, unassigned)
