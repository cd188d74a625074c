"""The closing machine: one table for a close request, one for each of its orders.

The rules that the tables keep:

1.  A request ends exactly once; nothing leads out of DONE, FAILED or CANCELLED.
2.  Orders are planned only by a move: the first ones from PREFLIGHT, all legs of it or none; a
    remainder in SENDING or SETTLING, each bucket on its own, after the terminal evidence of its
    own earlier attempts and whatever another bucket's order is waiting for.
3.  Cancelling is possible only while nothing was sent.
4.  VERIFYING is reached only when every order is settled; a late fill leads back to SETTLING.
    Only from there leads a way to DONE.
5.  The requests of a set are in the same state until they end, each by its own legs.
6.  An order whose outcome is not proven is UNKNOWN. From UNKNOWN lead only evidence: a report
    from the exchange, or proof of absence. A restart makes every unsettled order UNKNOWN.
7.  An order is sent again only from ABSENT (proven) or after a refusal that surely did not
    execute, with the same link id and the same quantity.
8.  A filled quantity is a field, not a state: late and duplicate reports of an ended order are
    rows of their own that change no state.

An event that a table has no row for raises IllegalTransition and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from .errors import IllegalTransition
from .orders import OrderState, RequestState


class RequestEvent(StrEnum):
    CLAIMED = "claimed"
    BUCKETS_LOCKED = "buckets locked"
    PLANNED = "orders planned"
    NOTHING_TO_SEND = "nothing to send"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ORDERS_AWAY = "orders away"
    REMAINDER_PLANNED = "remainder planned"
    ALL_SETTLED = "all orders settled"
    LATE_FILL = "late fill"
    VERIFIED = "verified"
    NOT_CLOSED = "not all closed"
    RESTARTED = "restarted"


class OrderEvent(StrEnum):
    SENDING = "sending"
    ACKED = "acknowledged"
    REFUSED = "refused"
    NOT_EXECUTED = "surely not executed"
    OUTCOME_UNKNOWN = "outcome unknown"
    SEEN_OPEN = "seen open"
    SEEN_ENDED = "seen ended"
    PROVEN_ABSENT = "proven absent"
    RESEND = "send again"
    GIVEN_UP = "given up"
    RESTARTED = "restarted"


_R, _E = RequestState, RequestEvent
_O, _V = OrderState, OrderEvent

REQUEST_TABLE: Final[Mapping[tuple[RequestState, RequestEvent], RequestState]] = MappingProxyType(
    {
        (_R.ACCEPTED, _E.CLAIMED): _R.WAITING,
        (_R.ACCEPTED, _E.CANCELLED): _R.CANCELLED,
        (_R.ACCEPTED, _E.EXPIRED): _R.FAILED,
        (_R.ACCEPTED, _E.RESTARTED): _R.ACCEPTED,
        (_R.WAITING, _E.BUCKETS_LOCKED): _R.PREFLIGHT,
        (_R.WAITING, _E.CANCELLED): _R.CANCELLED,
        (_R.WAITING, _E.EXPIRED): _R.FAILED,
        (_R.WAITING, _E.REFUSED): _R.FAILED,
        (_R.WAITING, _E.RESTARTED): _R.ACCEPTED,
        (_R.PREFLIGHT, _E.PLANNED): _R.SENDING,
        (_R.PREFLIGHT, _E.NOTHING_TO_SEND): _R.VERIFYING,
        (_R.PREFLIGHT, _E.REFUSED): _R.FAILED,
        (_R.PREFLIGHT, _E.EXPIRED): _R.FAILED,
        (_R.PREFLIGHT, _E.CANCELLED): _R.CANCELLED,
        (_R.PREFLIGHT, _E.RESTARTED): _R.ACCEPTED,
        (_R.SENDING, _E.ORDERS_AWAY): _R.SETTLING,
        # One bucket is at its remainder while another's first order has not left yet.
        (_R.SENDING, _E.REMAINDER_PLANNED): _R.SETTLING,
        (_R.SENDING, _E.RESTARTED): _R.SETTLING,
        (_R.SETTLING, _E.REMAINDER_PLANNED): _R.SETTLING,
        (_R.SETTLING, _E.ALL_SETTLED): _R.VERIFYING,
        (_R.SETTLING, _E.RESTARTED): _R.SETTLING,
        (_R.VERIFYING, _E.LATE_FILL): _R.SETTLING,
        (_R.VERIFYING, _E.VERIFIED): _R.DONE,
        (_R.VERIFYING, _E.NOT_CLOSED): _R.FAILED,
        (_R.VERIFYING, _E.RESTARTED): _R.SETTLING,
    }
)

ORDER_TABLE: Final[Mapping[tuple[OrderState, OrderEvent], OrderState]] = MappingProxyType(
    {
        (_O.PLANNED, _V.SENDING): _O.SENT,
        (_O.PLANNED, _V.GIVEN_UP): _O.ABSENT,
        (_O.PLANNED, _V.RESTARTED): _O.UNKNOWN,
        (_O.SENT, _V.ACKED): _O.ACKED,
        (_O.SENT, _V.REFUSED): _O.TERMINAL,
        (_O.SENT, _V.NOT_EXECUTED): _O.PLANNED,
        (_O.SENT, _V.OUTCOME_UNKNOWN): _O.UNKNOWN,
        (_O.SENT, _V.SEEN_OPEN): _O.ACKED,
        (_O.SENT, _V.SEEN_ENDED): _O.TERMINAL,
        (_O.SENT, _V.RESTARTED): _O.UNKNOWN,
        (_O.ACKED, _V.ACKED): _O.ACKED,
        (_O.ACKED, _V.SEEN_OPEN): _O.ACKED,
        (_O.ACKED, _V.SEEN_ENDED): _O.TERMINAL,
        # The stream's report overtook the reply: a lost reply then says nothing new.
        (_O.ACKED, _V.OUTCOME_UNKNOWN): _O.ACKED,
        (_O.ACKED, _V.RESTARTED): _O.UNKNOWN,
        (_O.UNKNOWN, _V.SEEN_OPEN): _O.ACKED,
        (_O.UNKNOWN, _V.SEEN_ENDED): _O.TERMINAL,
        (_O.UNKNOWN, _V.PROVEN_ABSENT): _O.ABSENT,
        (_O.UNKNOWN, _V.RESTARTED): _O.UNKNOWN,
        (_O.TERMINAL, _V.ACKED): _O.TERMINAL,
        (_O.TERMINAL, _V.OUTCOME_UNKNOWN): _O.TERMINAL,
        (_O.TERMINAL, _V.SEEN_OPEN): _O.TERMINAL,
        (_O.TERMINAL, _V.SEEN_ENDED): _O.TERMINAL,
        (_O.TERMINAL, _V.RESTARTED): _O.TERMINAL,
        (_O.ABSENT, _V.RESEND): _O.PLANNED,
        (_O.ABSENT, _V.SEEN_OPEN): _O.ACKED,
        (_O.ABSENT, _V.SEEN_ENDED): _O.TERMINAL,
        (_O.ABSENT, _V.RESTARTED): _O.ABSENT,
    }
)


def next_request_state(state: RequestState, event: RequestEvent) -> RequestState:
    """The state after `event`; IllegalTransition where the table has no row."""
    try:
        return REQUEST_TABLE[state, event]
    except KeyError:
        raise IllegalTransition(
            "illegal-transition", f"a close request in {state} cannot take '{event}'"
        ) from None


def next_order_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after `event`; IllegalTransition where the table has no row."""
    try:
        return ORDER_TABLE[state, event]
    except KeyError:
        raise IllegalTransition(
            "illegal-transition", f"a close order in {state} cannot take '{event}'"
        ) from None
