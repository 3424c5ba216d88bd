"""One TOML table read key by key: what is missing, misspelt or of the wrong kind is named with its remedy. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

T = TypeVar("T")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class StreetFileError(ValueError):
    """The street's description is wrong; the message says where, what and how to put it right."""


class Table:
    """A table being read; `done()` at the end refuses what nobody asked for."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self.where = where
        self._raw = raw
        self._asked: set[str] = set()

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._take(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self._wrong(key, value, "write it as a text in quotes")
        return value

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        """One of these strings."""
        value = self._take(key, None)
        if value not in options:
            raise self._wrong(key, value, f"one of {', '.join(options)}")
        return str(value)

    def number(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(key, value, f"a whole number from {low} to {high}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def decimal(self, key: str, default: Decimal | None = None) -> Decimal:
        """An exact number, as a number or in quotes."""
        return self._exact(key, self._take(key, default))

    def decimals(self, key: str, alone: str | None) -> dict[str, Decimal]:
        """A table of channel = number; a bare number stands for the channel `alone`."""
        value = self._take(key, {})
        if isinstance(value, Mapping):
            return {channel: self._exact(f"{key}.{channel}", number) for channel, number in value.items()}
        if alone is None:
            raise self._wrong(key, value, 'a table of channels, like {"3.8.0" = "0.3"}')
        return {alone: self._exact(key, value)}

    def moment(self, key: str, start: datetime, default: datetime | None = None) -> datetime:
        """An instant: a date-time with offset, or "+2h30m" after the start."""
        value = self._take(key, default)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
        if isinstance(value, str) and value.startswith("+"):
            return start + self.checked(key, lambda: duration(value[1:]))
        raise self._wrong(key, value, 'a date-time with offset (2026-11-20T00:00:00+04:00) or "+2h30m" after the start')

    def has(self, key: str) -> bool:
        """Whether the key, which may be left out, is there."""
        self._asked.add(key)
        return key in self._raw

    def tables(self, key: str) -> list["Table"]:
        """An array of tables."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
            raise self._wrong(key, value, f"write each as [[{key}]]")
        return [Table(part, f"{self.where}, {key} {number}") for number, part in enumerate(value, 1)]

    def checked(self, key: str, build: Callable[[], T]) -> T:
        """What `build` makes; its complaint gets this table's place."""
        try:
            return build()
        except StreetFileError:
            raise
        except ValueError as error:
            raise StreetFileError(f"{self.where}: {key}: {error}") from error

    def done(self) -> None:
        """Refuse keys that mean nothing here."""
        if unknown := sorted(set(self._raw) - self._asked):
            known = ", ".join(sorted(self._asked))
            raise StreetFileError(f"{self.where}: unknown key {unknown[0]!r}; remove it, or write one of: {known}")

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        value = self._raw.get(key, default)
        if value is None:
            raise StreetFileError(f"{self.where}: {key} is missing; add it")
        return value

    def _exact(self, key: str, value: Any) -> Decimal:
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError, ValueError) as error:
            raise self._wrong(key, value, "a number") from error
        if isinstance(value, bool) or not number.is_finite():
            raise self._wrong(key, value, "a finite number")
        return number

    def _wrong(self, key: str, value: object, remedy: str) -> StreetFileError:
        return StreetFileError(f"{self.where}: {key} is {value!r}; it must be: {remedy}")


def duration(text: str) -> timedelta:
    """A duration like 30s, 5m, 2h30m, 1d."""
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError(f"{text!r} is no duration; write it like 30s, 5m, 2h30m or 1d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
