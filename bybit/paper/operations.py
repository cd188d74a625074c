"""The operations under `/_paper/`: names, fields and what they do, in one table.

Requests are checked against it, and `/_paper/openapi.json` and `/_paper/docs` are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..vocab import CreateType
from .control_body import BadBody, Body
from .faults import FaultKind, When
from .orders import IMPOSED


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request; `kind` is a JSON type, or `decimal` for a number as text."""

    name: str
    kind: str
    summary: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One request; a GET and a DELETE take their fields from the query too."""

    verb: str
    name: str
    summary: str
    fields: tuple[Field, ...] = ()
    answer: str = ""

    def check(self, body: Body) -> None:
        """Raises BadBody for a field that is missing or not in the table."""
        known = {field.name for field in self.fields}
        if unknown := sorted(set(body) - known):
            raise BadBody(f"unknown field {unknown[0]}")
        for field in self.fields:
            if field.required and body.get(field.name) in (None, ""):
                raise BadBody(f"{field.name} is missing")
            value = body.get(field.name)
            if field.choices and value is not None and value not in field.choices:
                raise BadBody(f"{field.name} is none of {', '.join(field.choices)}")


CREATE_TYPES = tuple(kind.value for kind in CreateType)
# The venue adds kinds of orders without notice: this one stands for the next.
UNLISTED = "CreateByUnlisted"
ACCOUNT = Field("account", "string", "a UID, a key or a label", required=True)
CATEGORY = Field(
    "category", "string", "default linear", choices=("linear", "inverse", "spot", "option")
)
SYMBOL = Field("symbol", "string", "as listed", required=True)
IDX = Field("position_idx", "integer", "0 one-way, 1 hedge long, 2 hedge short")
QTY = Field("qty", "decimal", "in base coin (inverse: contracts)", required=True)
SOME = Field("qty", "decimal", "how much; all of it by default")
SIDE = Field("side", "string", "Buy or Sell", required=True, choices=("Buy", "Sell"))
KEY_TERMS = (
    Field("read_only", "boolean", "a key that cannot trade"),
    Field(
        "permissions",
        "object",
        'rights by group as in user/query-api: {"Wallet": ["Withdraw"]} adds, {"Spot": []} takes',
    ),
    Field("ips", "array", "addresses or networks it is bound to; none by default"),
    Field("expires_ms", "integer", "when it ends (33004 afterwards); null: never"),
)
HELD = (ACCOUNT, CATEGORY, SYMBOL, IDX)

OPERATIONS = (
    Operation(
        "POST",
        "accounts",
        "A new account; a known key gives the account it has.",
        (
            Field("label", "string", "a name for it"),
            Field("key", "string", "drawn from the seed by default"),
            Field("secret", "string", "drawn from the seed by default"),
            *KEY_TERMS,
            Field("balances", "object", 'coins and amounts; default {"USDT": "1000000"}'),
        ),
        "{uid, label, key, secret, …}",
    ),
    Operation("GET", "accounts", "Every account, without secrets.", (), '{"accounts": […]}'),
    Operation(
        "PATCH",
        "accounts",
        "Changes what a key may do, from now on.",
        (ACCOUNT, *KEY_TERMS),
        "{uid, label, key, …}",
    ),
    Operation(
        "POST",
        "trade",
        "A hand trade at market, as from the venue's own page: filled before the reply.",
        (
            *HELD,
            SIDE,
            QTY,
            Field("reduce_only", "boolean", "only against what is held"),
            Field(
                "create_type",
                "string",
                "createType of the order, default CreateByUser; stopOrderType goes with it",
                choices=(*CREATE_TYPES, UNLISTED),
            ),
        ),
        "{order, executions, position}",
    ),
    Operation(
        "POST",
        "price",
        "Sets mark and index to exactly this; prices walk on from there.",
        (CATEGORY, SYMBOL, Field("mark", "decimal", "above 0", required=True)),
        "{symbol, mark}",
    ),
    Operation(
        "POST",
        "liquidate",
        "Takes a position over at its mark (BustTrade).",
        (*HELD, SOME),
        "{order, executions, position}",
    ),
    Operation(
        "POST",
        "adl",
        "Deleverages a position at its mark, without a fee (AdlTrade).",
        (*HELD, SOME),
        "{order, executions, position}",
    ),
    Operation(
        "POST",
        "order",
        "A limit order of the account's, as from the venue's own page; it rests or fills.",
        (
            *HELD,
            SIDE,
            QTY,
            Field("price", "decimal", "the limit", required=True),
            Field("reduce_only", "boolean", "only against what is held"),
            Field("tif", "string", "default GTC", choices=("GTC", "IOC", "FOK", "PostOnly")),
            Field("order_link_id", "string", "options need one"),
        ),
        "{order, executions, position}",
    ),
    Operation(
        "POST",
        "mode",
        "Switches the position mode of a USDT perpetual, or of all of a coin.",
        (
            ACCOUNT,
            Field("symbol", "string", "of a USDT perpetual"),
            Field("coin", "string", "or all that settle in it"),
            Field("mode", "string", "which", True, ("one_way", "hedge")),
        ),
        "{mode}",
    ),
    Operation(
        "POST",
        "deposit",
        "Money from outside, or with a negative amount to the outside.",
        (
            ACCOUNT,
            Field("coin", "string", "which", required=True),
            Field("amount", "decimal", "how much", required=True),
        ),
        "{coin, balance}",
    ),
    Operation(
        "POST",
        "move",
        "Hands (part of) a position over to another account, without a fee (MovePosition).",
        (
            *HELD,
            Field("to", "string", "the account that takes it", required=True),
            SOME,
            Field("price", "decimal", "at which; the mark by default"),
        ),
        '{"positions": [from, to]}',
    ),
    Operation(
        "POST",
        "execution",
        "Books an execution that no order of the account's made: a block trade, a leg of a spread, "
        "a corporate action, or one of a type that no list has (UNKNOWN).",
        (
            *HELD,
            SIDE,
            QTY,
            Field("exec_type", "string", "which", True, tuple(IMPOSED)),
            Field("price", "decimal", "at which; the mark by default"),
        ),
        "{executions, position}",
    ),
    Operation(
        "POST",
        "deliver",
        "Ends a contract now, for everybody: delivery, expiry, or a perpetual's delisting.",
        (CATEGORY, SYMBOL, Field("price", "decimal", "at which; the index by default")),
        "{symbol, price}",
    ),
    Operation(
        "POST",
        "fund",
        "Funding now, of one perpetual or of all.",
        (
            Field("symbol", "string", "only this one"),
            Field("rate", "decimal", "positive: longs pay; the quoted rate by default"),
        ),
        '{"executions": […]}',
    ),
    Operation(
        "POST",
        "settle",
        "The periodic settlement of USDC contracts, now.",
        (Field("symbol", "string", "only this one"),),
        '{"executions": […]}',
    ),
    Operation(
        "POST",
        "auto_liquidation",
        "Whether accounts whose margin runs out are liquidated by themselves; they are at first.",
        (Field("on", "boolean", "", required=True),),
        '{"on"}',
    ),
    Operation(
        "POST",
        "faults",
        "Scripts a fault; it counts how often it fired.",
        (
            Field(
                "kind", "string", "what goes wrong", True, tuple(kind.value for kind in FaultKind)
            ),
            Field(
                "where",
                "string",
                "glob over the REST path, the topic, `op/ping` (acks and pongs) or `ws/private` "
                "(connections that open); thin_book, half_fill: over the symbol",
            ),
            Field("symbol", "string", "glob over the symbol"),
            Field("account", "string", "only this account"),
            Field(
                "when",
                "string",
                "before the request has any effect, or after it and before its reply",
                choices=tuple(when.value for when in When),
            ),
            Field("count", "integer", "at most so often; without end by default"),
            Field("skip", "integer", "lets so many pass first"),
            Field("chance", "number", "how likely it fires, 0 to 1; default 1"),
            Field("seed", "integer", "of that chance; default the exchange's seed"),
            Field("code", "integer", "reject, reject_item: retCode"),
            Field("message", "string", "reject, reject_item: retMsg"),
            Field("status", "integer", "http: the status"),
            Field(
                "ms", "integer", "hang, frame_delay, late_list: how long; clock_skew: how far ahead"
            ),
            Field("depth", "decimal", "thin_book: how much rests, in base coin"),
            Field("share", "decimal", "half_fill: which part of the order fills, default 0.5"),
            Field("keep", "integer", "truncated_list: how many rows are left"),
            Field("keys", "array", "missing_keys: what rows of lists and pushes lack"),
        ),
        '{"id"}',
    ),
    Operation(
        "GET", "faults", "The faults in force and how often each fired.", (), '{"faults": […]}'
    ),
    Operation(
        "DELETE",
        "faults",
        "Takes back one fault, or all of them.",
        (Field("id", "integer", "which; all by default"),),
        "{}",
    ),
    Operation(
        "POST",
        "step",
        "Moves the manual clock, in steps of 100 ms; frames go out in order.",
        (Field("ms", "integer", "how far, at most a day", required=True),),
        '{"now_ms"}',
    ),
    Operation("POST", "pause", "Stops prices; time and streams go on.", (), '{"paused"}'),
    Operation("POST", "resume", "Lets prices move again.", (), '{"paused"}'),
    Operation(
        "POST",
        "cut",
        "Cuts WebSockets now: all, the public ones, the private ones, or one account's.",
        (
            Field("kind", "string", "which", choices=("all", "public", "private")),
            Field("account", "string", "the private ones of this account"),
        ),
        '{"cut": n}',
    ),
    Operation("POST", "pardon", "Lifts the bans and counts of every address.", (), "{}"),
    Operation(
        "GET",
        "traffic",
        "What each address did: requests and new streams, the fullest window and the course.",
        (),
        '{"addresses": {address: {requests, streams, refused}}}',
    ),
    Operation(
        "GET",
        "state",
        "The books as plain JSON, without secrets.",
        (Field("account", "string", "of this account alone"),),
        "{…}",
    ),
)


def operation(verb: str, name: str) -> Operation:
    return next(op for op in OPERATIONS if (op.verb, op.name) == (verb, name))


def openapi(version: str) -> Mapping[str, Any]:
    """OpenAPI 3.1 of the control operations."""
    paths: dict[str, dict[str, Any]] = {}
    for op in OPERATIONS:
        described: dict[str, Any] = {
            "operationId": f"{op.verb.lower()}_{op.name}",
            "summary": op.summary,
            "responses": {
                "200": {
                    "description": op.answer or "done",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                "400": {"description": "the request cannot be read: {error}"},
                "403": {"description": "not from this machine"},
                "409": {"description": "refused by the exchange: {error, code}"},
            },
        }
        if op.verb in ("GET", "DELETE"):
            described["parameters"] = [_parameter(field) for field in op.fields]
        elif op.fields:
            content = {"application/json": {"schema": _schema(op.fields)}}
            described["requestBody"] = {"required": True, "content": content}
        paths.setdefault(f"/_paper/{op.name}", {})[op.verb.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Control of the paper exchange", "version": version},
        "paths": paths,
    }


def _schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.name: _type(field) for field in fields},
    }
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema


def _type(field: Field) -> dict[str, Any]:
    known: dict[str, Any] = {"description": field.summary, "type": field.kind}
    if field.kind == "decimal":
        known |= {"type": ["string", "number"]}
    elif field.kind == "array":
        known |= {"items": {"type": "string"}}
    if field.choices:
        known["enum"] = list(field.choices)
    return known


def _parameter(field: Field) -> dict[str, Any]:
    return {"name": field.name, "in": "query", "required": field.required, "schema": _type(field)}
