"""What the demo's cast promises, checked without running it."""

from collections import Counter

from positiond.daemon.demo_cast import ACCOUNTS, ALTERATION, ALTERED, CAST, OWN_HOLDING

BUCKETS = Counter((part.account, leg.symbol) for part in CAST for leg in part.legs)


def test_there_are_pairs_three_legs_and_two_positions_that_share_a_symbol() -> None:
    assert len(CAST) >= 6
    assert {1, 2, 3} <= {len(part.legs) for part in CAST}
    assert BUCKETS["Main desk", "BTCUSDT"] == 2
    assert {part.account for part in CAST} == set(ACCOUNTS)


def test_legs_that_share_a_bucket_point_the_same_way() -> None:
    sides = {(part.account, leg.symbol, leg.side) for part in CAST for leg in part.legs}
    assert len(sides) == len(BUCKETS)


def test_the_hand_trade_alters_one_position_and_leaves_some_of_it() -> None:
    (leg,) = [leg for leg in ALTERED.legs if leg.symbol == ALTERATION.symbol]
    assert BUCKETS[ALTERED.account, leg.symbol] == 1
    assert ALTERATION.side is leg.side.reverse
    assert ALTERATION.quantity < leg.quantity


def test_the_traders_own_holding_shares_a_bucket_with_a_position() -> None:
    account, own = OWN_HOLDING
    assert BUCKETS[account, own.symbol] == 1


def test_each_position_has_an_external_id_of_its_own() -> None:
    assert len({part.key for part in CAST}) == len(CAST)
