"""A strict reader of JSON objects: every field is asked for by name, what is left is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, cast
from uuid import UUID

from ..daemon.domain import money
from ..daemon.domain.errors import InvalidInput

Word = TypeVar("Word", bound=StrEnum)

_JSON_WORDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class Fields:
    """One JSON object being read; `path` leads to it, as in `components[0]`."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = values
        self._path = path
        self._asked: set[str] = set()

    @property
    def values(self) -> Mapping[str, object]:
        return self._values

    def at(self, name: str) -> str:
        """The field's full name, as problems give it."""
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Present and not null; an optional field that is null counts as absent."""
        self._asked.add(name)
        return self._values.get(name) is not None

    def text(self, name: str, *, longest: int, shortest: int = 1, lines: bool = False) -> str:
        """A string of printable characters; `lines` allows line breaks and tabs."""
        return checked_text(
            self._of_type(name, str), self.at(name), longest, shortest=shortest, lines=lines
        )

    def secret(self, name: str, *, longest: int) -> str:
        """Any string; never quoted back."""
        value = self._of_type(name, str)
        if not 1 <= len(value) <= longest:
            raise InvalidInput(
                "invalid-value",
                f"'{self.at(name)}' must have 1 to {longest} characters.",
                field=self.at(name),
            )
        return value

    def decimal(self, name: str) -> Decimal:
        """A decimal number that was sent as a string: a JSON number has been a float somewhere."""
        value = self._required(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise InvalidInput(
                "decimal-not-a-string",
                f"'{self.at(name)}' is a JSON number; send it as a string, "
                'for example "0.5", so that no digit is lost.',
                field=self.at(name),
            )
        text = self._of_type(name, str)
        try:
            return money.parse(text)
        except ValueError as error:
            raise InvalidInput(
                "invalid-decimal", f"'{self.at(name)}' is {error}.", field=self.at(name)
            ) from error

    def word(self, name: str, words: type[Word], *, code: str = "invalid-value") -> Word:
        """One of an enum's values."""
        value = self._of_type(name, str)
        try:
            return words(value)
        except ValueError:
            choices = ", ".join(words)
            raise InvalidInput(
                code, f"'{self.at(name)}' must be one of {choices}.", field=self.at(name)
            ) from None

    def uuid(self, name: str) -> UUID | None:
        """None for a string that is no UUID: such an id cannot exist."""
        return uuid_or_none(self._of_type(name, str))

    def flag(self, name: str) -> bool:
        return self._of_type(name, bool)

    def uuids(self, name: str, *, most: int) -> list[UUID | None]:
        """A list of at most `most` strings; None for each that is no UUID."""
        one_by_one = self._each(name, most)
        return [one_by_one.uuid(key) for key in one_by_one.values]

    def objects(self, name: str) -> list[Fields]:
        """A list of objects, each read in its turn."""
        return [self._item(name, i, item) for i, item in enumerate(self._list(name))]

    def texts(self, name: str, *, most: int, longest: int) -> tuple[str, ...]:
        """A list of at most `most` strings."""
        one_by_one = self._each(name, most)
        return tuple(one_by_one.text(key, longest=longest) for key in one_by_one.values)

    def finish(self) -> None:
        """Refuse the first field that nobody asked for: a misspelt one must not be ignored."""
        for name in self._values:
            if name not in self._asked:
                # The name is the caller's: shown, but not at any length.
                where = self.at(name[:60])
                raise InvalidInput("unknown-field", f"There is no field '{where}'.", field=where)

    def _required(self, name: str) -> object:
        self._asked.add(name)
        if name not in self._values:
            raise InvalidInput(
                "missing-field", f"'{self.at(name)}' is missing.", field=self.at(name)
            )
        return self._values[name]

    def _of_type(self, name: str, wanted: type[_Value]) -> _Value:
        value = self._required(name)
        if not isinstance(value, wanted):
            raise _wrong_type(self.at(name), wanted, value)
        return value

    def _list(self, name: str) -> list[object]:
        return cast("list[object]", self._of_type(name, list))

    def _each(self, name: str, most: int) -> Fields:
        """The entries of a list, each under its own name."""
        items = self._list(name)
        if len(items) > most:
            raise InvalidInput(
                "invalid-value",
                f"'{self.at(name)}' may have at most {most} entries.",
                field=self.at(name),
            )
        return Fields({f"{name}[{i}]": item for i, item in enumerate(items)}, self._path)

    def _item(self, name: str, index: int, item: object) -> Fields:
        path = f"{self.at(name)}[{index}]"
        if not isinstance(item, dict):
            raise _wrong_type(path, dict, item)
        return Fields(cast("dict[str, object]", item), path)


_Value = TypeVar("_Value")
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def checked_text(
    value: str, where: str, longest: int, *, shortest: int = 1, lines: bool = False
) -> str:
    """The text if it is fit to be stored and shown; InvalidInput otherwise."""
    if len(value) > longest:
        raise InvalidInput(
            "too-long", f"'{where}' may have at most {longest} characters.", field=where
        )
    if len(value.strip()) < shortest:
        raise InvalidInput("invalid-value", f"'{where}' must not be empty.", field=where)
    allowed = "\n\t" if lines else ""
    if any(_is_unprintable(c) and c not in allowed for c in value):
        raise InvalidInput(
            "invalid-value", f"'{where}' has a character that cannot be printed.", field=where
        )
    return value


def _is_unprintable(char: str) -> bool:
    # Control characters break logs and terminals; Postgres refuses NUL and lone surrogates. What
    # turns the direction of writing would let one name, or the number beside it, pass for another.
    return (
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(char) in _TURNING
    )


def uuid_or_none(text: str) -> UUID | None:
    """The UUID in its usual 36 characters; None for anything else."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def _wrong_type(where: str, wanted: type, value: object) -> InvalidInput:
    found = _JSON_WORDS.get(type(value), "something else")
    return InvalidInput(
        "wrong-type", f"'{where}' must be {_JSON_WORDS[wanted]}, not {found}.", field=where
    )
