"""The rules of closing, and what went wrong elsewhere: which tests hold each of them.

A rule without a test, or a test that was renamed away from its rule, fails here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1]

# Each test fails when its rule is broken on purpose.
RULES = {
    "1 reduce-only, always": (
        "test_a_pair_is_closed_leg_by_leg_reduce_only_and_verified",
        "test_an_order_under_our_id_that_is_not_ours_stops_the_close",
        "test_a_spot_leg_is_sold_out_of_the_wallet",
    ),
    "2 own share only": (
        "test_another_holding_on_the_same_symbol_is_untouched",
        "test_two_positions_on_one_symbol_never_take_each_others_share",
        "test_coin_locked_in_the_traders_own_orders_is_a_blocker",
        "test_a_small_leg_never_pays_the_fees_of_all_others",
        "test_a_size_from_before_a_known_trade_of_the_traders_sizes_no_order",
        "test_claims_are_read_after_the_sizes_that_they_are_compared_with",
        "test_a_leg_that_may_claim_the_coin_is_waited_for_before_anything_is_sold",
        "test_rows_that_cannot_be_true_send_nothing_until_the_request_expires",
    ),
    "3 a loss without an owner": (
        "test_a_loss_without_an_owner_is_refused_before_any_order",
        "test_a_leg_alone_closes_what_is_there_and_reports_the_shortfall",
        "test_nothing_filled_while_the_bucket_holds_the_leg_is_never_closed",
        "test_zero_fills_are_no_shortfall_while_the_wallet_holds_the_coin",
        "test_a_loss_among_the_legs_of_a_set_is_nobodys_to_guess",
    ),
    "4 netted legs": (
        "test_a_netted_leg_is_refused_before_any_order",
        "test_legs_that_net_on_bybit_are_closed_by_one_order_of_their_net",
        "test_a_part_fill_closes_both_sides_in_proportion_and_its_remainder_the_rest",
        "test_legs_that_net_to_nothing_close_against_each_other_without_an_order",
    ),
    "5 one close per bucket at a time": (
        "test_two_positions_on_one_symbol_never_take_each_others_share",
        "test_the_size_read_must_be_as_new_as_the_last_fill",
        "test_all_buckets_leave_at_once",
        "test_coin_that_another_leg_settles_in_is_sold_after_that_leg",
        "test_a_leg_whose_coin_is_learnt_while_the_close_waits_is_sold_and_locked_there",
    ),
    "6 durable": (
        "test_an_order_row_is_stored_before_its_order_is_sent",
        "test_killed_at_any_passage_the_next_process_ends_it_the_same",
        "test_killed_at_any_passage_the_next_process_ends_the_set_the_same",
        "test_on_resume_a_planned_order_counts_as_sent",
        "test_a_request_that_expires_after_a_part_fill_settles_and_sends_no_more",
    ),
    "7 unknown is a state": (
        "test_an_order_that_never_arrived_is_sent_again_only_once_proven_absent",
        "test_while_an_order_is_unknown_the_close_neither_ends_nor_tries_again",
        "test_an_execution_under_the_id_contradicts_its_absence",
        "test_an_acknowledged_order_without_a_trace_ended_unfilled_after_a_minute",
        "test_a_recheck_proves_no_absence_any_sooner",
    ),
    "8 ids": (
        "test_an_order_that_differs_in_anything_is_not_ours",
        "test_an_order_under_our_id_that_is_not_ours_stops_the_close",
    ),
    "9 bounded": (
        "test_attempts_that_fill_nothing_are_bounded_and_leave_a_residual",
        "test_a_part_fill_is_followed_by_its_remainder_under_a_new_id",
        "test_reduce_only_refused_because_it_is_flat_is_done",
        "test_reduce_only_refused_because_it_is_flipped_is_a_stop",
        "test_every_order_of_a_close_carries_the_cap_on_its_slippage",
        "test_attempts_that_fill_are_bounded_too",
        "test_an_order_that_the_key_was_refused_for_once_is_followed_by_another",
        "test_a_key_that_is_refused_for_every_order_ends_the_leg_after_half_a_minute",
    ),
    "10 pre-flight": (
        "test_one_leg_that_cannot_trade_keeps_the_other_from_being_sent",
        "test_resting_reduce_only_orders_in_the_way_are_named_and_left_alone",
        "test_resting_orders_are_cancelled_where_the_request_says_so",
        "test_a_close_by_a_plan_that_holds_no_more_sends_nothing",
        "test_below_the_minimum_is_a_report_and_no_blocker",
    ),
    "11 verified": (
        "test_a_late_fill_reopens_the_verification",
        "test_a_wallet_is_read_well_after_the_last_fill",
        "test_dust_ends_the_close_and_becomes_unassigned",
        "test_a_fraction_closes_that_part_of_every_leg_and_the_position_goes_on",
        "test_each_position_of_a_set_ends_by_its_own_legs",
    ),
    "12 priority": (
        "test_a_rate_limit_uses_up_no_attempt_and_no_id",
        "test_time_in_which_our_address_is_banned_does_not_count",
    ),
    "13 stops": (
        "test_while_trading_is_paused_an_accepted_close_waits",
        "test_a_pause_between_attempts_sends_no_remainder",
        "test_a_close_cancelled_while_it_waits_sends_nothing",
        "test_a_set_that_waits_is_cancelled_as_a_whole",
    ),
}

# What is known to have gone wrong in programs of this kind, and what keeps it from us.
LESSONS = {
    "a second request while one runs sends a second order": (
        "test_a_request_has_one_task_however_often_it_is_seen",
    ),
    "a close is retried while the first is in doubt": (
        "test_while_an_order_is_unknown_the_close_neither_ends_nor_tries_again",
    ),
    "a close that filled is not noticed": (
        "test_with_the_stream_down_lookups_find_the_end",
        "test_a_close_waits_for_executions_that_lag_behind_their_order",
    ),
    "a close is stuck and nobody sees why": (
        "test_what_each_bucket_waits_for_stands_beside_the_others_words",
        "test_a_recheck_moves_a_close_that_waits_for_its_next_look",
    ),
    "a stop opens a new position": (
        "test_a_position_that_shrinks_after_the_plan_is_never_flipped",
    ),
    "a repeated order is filled twice": (
        "test_a_lost_acknowledgement_is_found_and_not_sent_again",
        "test_an_id_that_the_venue_keeps_reserved_is_followed_by_a_new_one",
    ),
    "a check of our own on money blocks the close": (
        "test_a_contract_is_closed_whatever_the_wallet_holds",
        "test_a_slow_book_and_a_missing_rate_leave_the_plan_without_an_estimate",
        "test_a_refused_order_is_not_repeated_and_its_words_are_kept",
    ),
    "dust blocks the close": (
        "test_below_the_minimum_is_a_report_and_no_blocker",
        "test_dust_ends_the_close_and_becomes_unassigned",
        "test_a_sale_below_the_minimum_value_is_dust",
    ),
    "one leg is closed although the other cannot be": (
        "test_one_leg_that_cannot_trade_keeps_the_other_from_being_sent",
        "test_a_leg_that_cannot_be_closed_keeps_the_whole_set_from_being_sent",
    ),
    "a refused reduce-only order is repeated for ever": (
        "test_reduce_only_refused_again_and_again_ends_with_the_reason",
    ),
    "reduce-only is refused although the position is there": (
        "test_reduce_only_refused_while_the_position_is_there_is_tried_once_more",
    ),
    "reduce-only is refused because the position is gone": (
        "test_reduce_only_refused_because_it_is_flat_is_done",
    ),
    "the quantity is off the step or above the position": (
        "test_an_order_is_floored_to_step_and_kept_within_its_limits",
    ),
    "closing all leaves some open": (
        "test_a_position_larger_than_an_order_is_sent_in_pieces",
        "test_the_last_piece_is_never_left_below_the_minimum",
    ),
    "a fill is counted twice": ("test_stream_and_lookup_together_book_each_execution_once",),
    "a spot sale fails because the fee was paid in the coin": (
        "test_a_spot_leg_sells_what_the_fee_left_of_it",
        "test_the_fee_that_was_paid_in_the_coin_is_a_shortfall_and_no_refusal",
    ),
    "a spot market order ends part filled": (
        "test_a_spot_market_order_that_is_part_filled_is_followed_by_its_rest",
    ),
    "orders that close cannot be traced to their position": (
        "test_an_order_row_is_stored_before_its_order_is_sent",
        "test_an_order_of_ours_is_named_by_its_position",
    ),
    "resting reduce-only orders block the close": (
        "test_resting_orders_are_cancelled_where_the_request_says_so",
        "test_a_resting_order_that_fills_instead_of_going_is_sized_anew",
    ),
    "closed is said while the position is open": (
        "test_the_size_read_must_be_as_new_as_the_last_fill",
        "test_nothing_filled_while_the_bucket_holds_the_leg_is_never_closed",
    ),
    "a rejection is taken for a success": (
        "test_a_refused_order_is_not_repeated_and_its_words_are_kept",
    ),
    "some legs fail in silence": (
        "test_a_key_revoked_half_way_ends_with_what_was_filled_and_why_no_more",
    ),
    "the two sides of a hedge are taken for each other": (
        "test_in_hedge_mode_both_sides_are_closed_by_orders_of_their_own",
        "test_after_a_restart_a_hedged_symbol_is_still_two_buckets",
    ),
    "orders are sized from stale fills": (
        "test_an_absent_order_that_no_longer_fits_is_not_sent_again",
        "test_a_throttled_order_that_no_longer_fits_is_given_up_and_planned_anew",
    ),
    "a number that was derived wrongly closes a position": (
        "test_only_a_request_over_http_begins_a_close",
    ),
    "several positions cannot be closed at once": (
        "test_the_requests_of_a_set_are_picked_up_as_one_job",
    ),
}


@cache
def known() -> frozenset[str]:
    found = (
        re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
        for file in UNIT.glob("*/test_*.py")
    )
    return frozenset().union(*found)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_closing_is_held_by_tests_that_exist(rule: str) -> None:
    assert set(RULES[rule]) <= known()


@pytest.mark.parametrize("symptom", LESSONS)
def test_every_lesson_is_held_by_tests_that_exist(symptom: str) -> None:
    assert set(LESSONS[symptom]) <= known()


def test_no_rule_is_missing() -> None:
    assert [int(rule.split()[0]) for rule in RULES] == list(range(1, 14))
