"""The table of failures: each code in one class, and never a refusal without evidence."""

from __future__ import annotations

import pytest
from positiond.bybit.limits import LimitHeaders
from positiond.bybit.outcomes import BY_CODE, Meaning, meaning_of_code, meaning_of_status
from positiond.bybit.reply import Reply

NO_LIMITS = LimitHeaders(None, None, None)


def reply(status: int, code: int | None, message: str = "") -> Reply:
    return Reply(status, code, message, {}, NO_LIMITS)


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        (0, "OK", Meaning.ACCEPTED),
        (10000, "Server Timeout", Meaning.AMBIGUOUS),
        (10016, "Request timeout, please try again later", Meaning.AMBIGUOUS),
        (10014, "duplicate request", Meaning.AMBIGUOUS),
        (110072, "OrderLinkedID is duplicate", Meaning.AMBIGUOUS),
        (170141, "Duplicate clientOrderId", Meaning.AMBIGUOUS),
        (110079, "order is processing", Meaning.AMBIGUOUS),
        (10002, "invalid request, please check your timestamp", Meaning.CLOCK),
        (10006, "Too many visits!", Meaning.WAIT),
        (10018, "", Meaning.WAIT),
        (110118, "", Meaning.WAIT),
        (10003, "API key is invalid.", Meaning.CREDENTIALS),
        (10004, "error sign!", Meaning.CREDENTIALS),
        (33004, "", Meaning.CREDENTIALS),
        (10001, "params error: symbol invalid", Meaning.REFUSED),
        (10001, "position idx not match position mode", Meaning.REREAD),
        (10001, "[0b2c]sell: [955174000,955350000] invalid", Meaning.WAIT),
        (
            10001,
            "The number of contracts exceeds maximum limit allowed: too large",
            Meaning.REFUSED,
        ),
        (110017, "current position is zero, cannot fix reduce-only order qty", Meaning.DONE),
        (110017, "reduce-only order has same side with current position", Meaning.REREAD),
        (110017, "Reduce-only rule not satisfied", Meaning.REREAD),
        (110094, "Order does not meet minimum order value 5USDT", Meaning.REFUSED),
        (170131, "Balance insufficient", Meaning.REREAD),
        (99999, "what is this", Meaning.UNLISTED),
    ],
)
def test_a_code_means_what_the_table_says(code: int, message: str, meaning: Meaning) -> None:
    assert meaning_of_code(code, message) is meaning


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (500, Meaning.AMBIGUOUS),
        (502, Meaning.AMBIGUOUS),
        (504, Meaning.AMBIGUOUS),
        (429, Meaning.WAIT),
        (403, Meaning.WAIT),
        (401, Meaning.CREDENTIALS),
        (404, Meaning.REFUSED),
        (302, Meaning.UNLISTED),
        (418, Meaning.UNLISTED),
    ],
)
def test_a_status_means_what_the_table_says(status: int, meaning: Meaning) -> None:
    assert meaning_of_status(status) is meaning


def test_a_five_hundred_is_ambiguous_even_with_a_refusing_envelope() -> None:
    assert reply(500, 10001, "params error").meaning is Meaning.AMBIGUOUS


def test_a_success_without_an_envelope_proves_nothing() -> None:
    assert reply(200, None).meaning is Meaning.AMBIGUOUS


def test_a_listed_code_speaks_louder_than_a_client_error_status() -> None:
    assert reply(401, 10003, "API key is invalid.").meaning is Meaning.CREDENTIALS
    assert reply(400, 123456, "?").meaning is Meaning.UNLISTED


def test_a_forbidden_address_waits_whatever_the_body_says() -> None:
    assert reply(403, 10001, "params error").meaning is Meaning.WAIT


def test_no_code_stands_in_two_classes() -> None:
    from positiond.bybit import outcomes

    listed = [
        *outcomes._WAIT,
        *outcomes._AMBIGUOUS,
        *outcomes._CREDENTIALS,
        *outcomes._DONE,
        *outcomes._REREAD,
        *outcomes._REFUSED,
    ]
    assert len(listed) == len(set(listed))
    # …and acceptance and the clock, which stand alone.
    assert len(BY_CODE) == len(listed) + 2
