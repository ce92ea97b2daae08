"""What a browser sent, checked name by name: a wrong value gets a sentence for an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, overload

__all__ = ["AskedError", "Asked"]

# characters of a text
_LONGEST = 200_000


class AskedError(ValueError):
    """What was asked cannot be understood; the message says what is needed."""


class Asked:
    """The fields of a request.

    Args:
        fields: by name.

    Example:
        >>> asked = Asked({"unit": 3, "temperature": "0.5"})
        >>> asked.whole("unit"), asked.number("temperature"), asked.text("name", "h")
        (3, 0.5, 'h')
        >>> asked.whole("temperature")
        Traceback (most recent call last):
        ostinato.studio.asked.AskedError: temperature must be a whole number, got '0.5'.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes) -> Asked:
        """The fields of a JSON object.

        Raises:
            AskedError: it is none.
        """
        try:
            fields = json.loads(body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise AskedError('The request must be a JSON object, such as {"text": "To be"}.')
        return cls(fields)

    def text(self, name: str, default: str = "", *, most: int = _LONGEST) -> str:
        """A text of so many characters at most."""
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        if len(value) > most:
            raise AskedError(
                f"{name} has {len(value):,} characters. Send {most:,} at most: the studio is "
                "for looking closely; ostinato eval reads texts of any length."
            )
        # browsers send line ends as they are on their system
        return value.replace("\r\n", "\n")

    @overload
    def whole(self, name: str) -> int | None: ...
    @overload
    def whole(self, name: str, default: int) -> int: ...
    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number."""
        value = self._number(name, "a whole number")
        if value is None:
            return default
        if value != int(value):
            raise self._wrong(name, "a whole number")
        return int(value)

    @overload
    def number(self, name: str) -> float | None: ...
    @overload
    def number(self, name: str, default: float) -> float: ...
    def number(self, name: str, default: float | None = None) -> float | None:
        """A number."""
        value = self._number(name, "a number")
        return default if value is None else value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self._fields.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def numbers(self, name: str) -> list[int] | None:
        """A list of whole numbers."""
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(one) is int for one in value):
            raise self._wrong(name, "a list of whole numbers")
        return value

    def raw(self, names: Iterable[str]) -> tuple[Any, ...]:
        """Fields as they came, to tell one request from another."""
        return tuple(json.dumps(self._fields.get(name), sort_keys=True) for name in names)

    def inner(self, name: str) -> list[Asked]:
        """A list of objects."""
        value = self._fields.get(name) or []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self._wrong(name, "a list of objects")
        return [Asked(one) for one in value]

    def _number(self, name: str, kind: str) -> float | None:
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            try:
                value = int(value) if kind == "a whole number" else float(value)
            except ValueError:
                raise self._wrong(name, kind) from None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, kind)
        if not math.isfinite(value):
            raise self._wrong(name, kind)
        return value

    def _wrong(self, name: str, kind: str) -> AskedError:
        return AskedError(f"{name} must be {kind}, got {self._fields.get(name)!r}.")
