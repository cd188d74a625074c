"""The one table of what a failure means: retCode, HTTP status or transport → what to do next.

Only positive evidence marks an order refused: a code that is not listed, and every failure of
the transport once the request may have left, leaves the outcome unknown. (Bybit V5: error codes)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Meaning(StrEnum):
    ACCEPTED = "accepted"
    WAIT = "not executed, worth another try after a wait"
    CLOCK = "not executed, our time is off"
    AMBIGUOUS = "may or may not have been executed"
    REFUSED = "refused"
    CREDENTIALS = "the key or account is refused"
    DONE = "already so"
    REREAD = "refused, the state is not what we thought"
    UNLISTED = "not in this table"


def _codes(meaning: Meaning, codes: Iterable[int]) -> dict[int, Meaning]:
    return dict.fromkeys(codes, meaning)


CLOCK_CODE: Final = 10002
RATE_CODE: Final = 10006
PARAMETER_CODE: Final = 10001
REDUCE_ONLY_CODE: Final = 110017

_WAIT = (
    *(429, RATE_CODE, 10018, 10019, 10403, 10429, 20003, 30035, 110063, 110066, 110074),
    *(110118, 170005, 170144, 170191, 170212, 170222),
)
# 110079 "order being processed" may be said of our own id; 110072 and 170141 say that the id
# exists; 110008 and the like speak of an order that ended: for all of them a look-up decides.
_AMBIGUOUS = (
    *(10000, 10014, 10016, 20006, 110072, 110079, 170001, 170007, 170032, 170141),
    *(170146, 170147, 170234),
)
_CREDENTIALS = (
    *(-2015, 10003, 10004, 10005, *range(10007, 10011), 10024, *range(10027, 10030), 33004),
    *(110101, *range(110123, 110126), 110132, 110136, 110137, 3200403),
)
_DONE = (20001, 34040, 110008, 110010, 110025, 110043, 170139, 170142, 170190, 130125)
_REREAD = (
    *(110001, 110005, REDUCE_ONLY_CODE, 110034, 170033, 170131, 170143, 170149, 170150),
    *(170210, 170213, 175007),
)
_REFUSED = (
    *(PARAMETER_CODE, 10017, 30208, 30209, 30228, 110003, 110004, 110006, 110007, 110009, 110012),
    *(110013, *range(110018, 110025), 110028, 110029, 110032, 110040, 110042, 110044, 110045),
    *(110090, *range(110092, 110101), 110103, 110108, 110109, 110120, 110121),
    *(*range(170115, 170118), 170121, 170124, 170130, *range(170132, 170135), 170136, 170137),
    *(170140, 170148, 170151, 170157, 170159, 170193, 170194, 170217, 170228, 170229, 170341),
    *(170344, 170346, 170371, 170372, 170381, 170382, 170810),
)

BY_CODE: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        0: Meaning.ACCEPTED,
        CLOCK_CODE: Meaning.CLOCK,
        **_codes(Meaning.WAIT, _WAIT),
        **_codes(Meaning.AMBIGUOUS, _AMBIGUOUS),
        **_codes(Meaning.CREDENTIALS, _CREDENTIALS),
        **_codes(Meaning.DONE, _DONE),
        **_codes(Meaning.REREAD, _REREAD),
        **_codes(Meaning.REFUSED, _REFUSED),
    }
)

BY_STATUS: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        401: Meaning.CREDENTIALS,
        403: Meaning.WAIT,
        404: Meaning.REFUSED,
        429: Meaning.WAIT,
    }
)

# Of those that refuse credentials: the key itself is not recognised (unknown, from another address,
# expired). A right that it lacks is a setting, and passes with nobody's patience.
NOT_RECOGNISED: Final = frozenset({401, 10003, 10004, 10007, 10010, 33004})

# What a cancel is told of an order that ended, or that Bybit does not know.
NO_OPEN_ORDER: Final = frozenset(
    {110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213, 175007}
)

# Seconds to wait where Bybit gives no time itself.
_SLOW_CODES: Final = frozenset({110063, 110066, 110074})
SLOW_WAIT: Final = 5.0
USUAL_WAIT: Final = 1.5


def meaning_of_code(code: int, message: str) -> Meaning:
    """What a reply's retCode means; for two codes the text decides."""
    text = message.lower()
    if code == PARAMETER_CODE:
        if "position idx not match" in text:
            return Meaning.REREAD
        # "[uuid]sell: [a,b] invalid": nothing in the book within the price bound; it passes.
        if text.endswith("] invalid") and ("sell: [" in text or "buy: [" in text):
            return Meaning.WAIT
    if code == REDUCE_ONLY_CODE and "position is zero" in text:
        return Meaning.DONE
    return BY_CODE.get(code, Meaning.UNLISTED)


def meaning_of_status(status: int) -> Meaning:
    """What an HTTP status other than 200 means, where the reply carries no known retCode."""
    if status >= 500:
        return Meaning.AMBIGUOUS
    return BY_STATUS.get(status, Meaning.UNLISTED)


def wait_after(code: int) -> float:
    """Seconds to leave before another try, for a code whose meaning is WAIT."""
    return SLOW_WAIT if code in _SLOW_CODES else USUAL_WAIT
