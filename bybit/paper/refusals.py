"""Refused requests: Bybit's codes and texts, which clients parse."""

from decimal import Decimal


class Refused(Exception):
    """A request the exchange refuses; `code` and `message` go out as retCode and retMsg."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def bad_parameter(text: str) -> Refused:
    return Refused(10001, f"params error: {text}")


def symbol_invalid() -> Refused:
    return bad_parameter("symbol invalid")


def missing_filter() -> Refused:
    return Refused(
        10001, "Missing some parameters that must be filled in, symbol or settleCoin or baseCoin"
    )


def idx_mismatch() -> Refused:
    return Refused(10001, "position idx not match position mode")


def qty_invalid() -> Refused:
    return Refused(10001, "Qty invalid")


def qty_too_small() -> Refused:
    return Refused(10001, "The number of contracts exceeds minimum limit allowed")


def qty_too_large(qty: Decimal, limit: Decimal) -> Refused:
    """The venue shows both numbers multiplied by 1e8 (pybit#244)."""
    scaled, bound = int(qty * 10**8), int(limit * 10**8)
    return Refused(
        10001,
        "The number of contracts exceeds maximum limit allowed: too large, "
        f"order_qty:{scaled} > max_qty:{bound}",
    )


def notional_too_small(minimum: Decimal, coin: str) -> Refused:
    return Refused(110094, f"Order does not meet minimum order value {minimum}{coin}")


def nothing_to_reduce() -> Refused:
    return Refused(110017, "current position is zero, cannot fix reduce-only order qty")


def reduces_wrong_side() -> Refused:
    return Refused(110017, "reduce-only order has same side with current position")


def duplicate_link_id(*, spot: bool = False) -> Refused:
    if spot:
        return Refused(170141, "Duplicate clientOrderId")
    return Refused(110072, "OrderLinkedID is duplicate")


def order_not_found(*, spot: bool = False) -> Refused:
    if spot:
        return Refused(170213, "Order does not exist.")
    return Refused(110001, "order not exists or too late to cancel")


def contract_not_live() -> Refused:
    return Refused(110074, "This contract is not live")


def balance_insufficient() -> Refused:
    return Refused(170131, "Insufficient balance.")


def amount_too_small() -> Refused:
    return Refused(170140, "Order value exceeded lower limit.")


def nothing_to_amend() -> Refused:
    text = "The order remains unchanged as the parameters entered match the existing ones."
    return Refused(10001, text)


def no_market_price() -> Refused:
    return Refused(110118, "no market price available for this order")


def margin_insufficient() -> Refused:
    return Refused(110007, "ab not enough for new order")


def price_out_of_band(side: str) -> Refused:
    if side == "Buy":
        return Refused(110003, "Order price exceeds the allowable range: too high")
    return Refused(110003, "Order price exceeds the allowable range: too low")


def too_many_orders(limit: int, *, spot: bool = False) -> Refused:
    code = 170810 if spot else 110020
    return Refused(code, f"Not allowed to have more than {limit} active orders")


def rate_limited() -> Refused:
    return Refused(10006, "Too many visits. Exceeded the API Rate Limit.")
