"""A position as it arrives in JSON → NewPosition; the shape only, no instrument is known here."""

from __future__ import annotations

from typing import Final

from ..daemon.domain.errors import InvalidInput, NotFound
from ..daemon.domain.model import AccountId, Category, NewComponent, NewPosition, Side
from ..daemon.domain.records import PositionEdit
from .fields import Fields

LONGEST_NAME: Final = 200
LONGEST_NOTE: Final = 2_000
LONGEST_SYMBOL: Final = 60
MOST_COMPONENTS: Final = 50
MOST_TAGS: Final = 20
LONGEST_TAG: Final = 50


def new_position(fields: Fields) -> NewPosition:
    """InvalidInput or NotFound with the field; the first fault in reading order."""
    position = NewPosition(
        account_id=_account_id(fields),
        name=fields.text("name", longest=LONGEST_NAME),
        external_id=(
            fields.text("external_id", longest=LONGEST_NAME) if fields.has("external_id") else None
        ),
        components=_components(fields),
        note=_note(fields) or "",
        tags=_tags(fields) or (),
    )
    fields.finish()
    return position


def labels(fields: Fields) -> PositionEdit:
    """A change of name, note or tags; what is absent or null stays as it is."""
    change = PositionEdit(
        name=fields.text("name", longest=LONGEST_NAME) if fields.has("name") else None,
        note=_note(fields),
        tags=_tags(fields),
    )
    fields.finish()
    return change


def _note(fields: Fields) -> str | None:
    if not fields.has("note"):
        return None
    return fields.text("note", longest=LONGEST_NOTE, shortest=0, lines=True)


def _tags(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("tags"):
        return None
    return fields.texts("tags", most=MOST_TAGS, longest=LONGEST_TAG)


def _account_id(fields: Fields) -> AccountId:
    account_id = fields.uuid("account_id")
    if account_id is None:
        raise NotFound("unknown-account", "There is no such account.", field="account_id")
    return AccountId(account_id)


def _components(fields: Fields) -> tuple[NewComponent, ...]:
    items = fields.objects("components")
    where = fields.at("components")
    if not items:
        raise InvalidInput("no-components", "A position needs a component.", field=where)
    if len(items) > MOST_COMPONENTS:
        raise InvalidInput(
            "too-many-components",
            f"A position may have at most {MOST_COMPONENTS} components.",
            field=where,
        )
    components = tuple(_component(item) for item in items)
    _refuse_duplicates(components, where)
    return components


def _component(fields: Fields) -> NewComponent:
    component = NewComponent(
        category=fields.word("category", Category, code="wrong-category"),
        symbol=fields.text("symbol", longest=LONGEST_SYMBOL),
        side=fields.word("side", Side),
        quantity=fields.decimal("quantity"),
        entry_price=fields.decimal("entry_price"),
    )
    fields.finish()
    if component.quantity <= 0:
        raise InvalidInput(
            "quantity-zero",
            "The quantity must be above zero; the side says which way.",
            field=fields.at("quantity"),
        )
    if component.entry_price <= 0:
        raise InvalidInput(
            "price-not-positive",
            "The entry price must be above zero.",
            field=fields.at("entry_price"),
        )
    if component.category is Category.SPOT and component.side is Side.SELL:
        raise InvalidInput(
            "spot-short",
            "A spot component cannot be short: a wallet cannot hold less than nothing.",
            field=fields.at("side"),
        )
    return component


def _refuse_duplicates(components: tuple[NewComponent, ...], where: str) -> None:
    seen: set[tuple[Category, str]] = set()
    for index, component in enumerate(components):
        key = (component.category, component.symbol)
        if key in seen:
            raise InvalidInput(
                "duplicate-component",
                f"{component.symbol} ({component.category}) stands twice in the position; "
                "record it once with the sum.",
                field=f"{where}[{index}].symbol",
            )
        seen.add(key)
