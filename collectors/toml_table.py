"""A TOML table read field by field: what is missing, unknown or out of range becomes a `Mistake` with its line.

Reading goes on after a mistake with a harmless value, so that one look at a file names all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeVar

from collectors.mistake import Mistake, line_of

_Choice = TypeVar("_Choice", str, int)
_MISSING = object()
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)


class Table:
    """One table of a file. `index` counts tables of the same name, to find the line a field stands in."""

    def __init__(
        self, file: str, text: str, name: str, index: int, data: Mapping[str, object], mistakes: list[Mistake]
    ) -> None:
        self._file = file
        self._text = text
        self._name = name
        self._index = index
        self._data = data
        self._mistakes = mistakes
        self._asked: set[str] = set()

    def mistake(self, field: str, value: object, remedy: str) -> None:
        """Note what is wrong with a field of this table."""
        line = line_of(self._text, self._name, self._index, field)
        name = f"{self._name} {self._index + 1}" if self._name else ""
        self._mistakes.append(Mistake(self._file, line, name, field, value, remedy))

    def raw(self, field: str) -> object:
        """The value as TOML gave it, None when absent."""
        return self._data.get(field)

    def text(self, field: str, default: str | None = None) -> str:
        """A text that is not blank; required without a default."""
        value = self._take(field, default is None, "a text in quotation marks")
        if value is _MISSING:
            return default or ""
        if isinstance(value, str) and (value.strip() or default is not None):
            return value
        self.mistake(field, value, "write a text in quotation marks that is not blank")
        return default or ""

    def texts(self, field: str) -> tuple[str, ...]:
        """A required list of texts."""
        value = self._take(field, True, "a list of texts in quotation marks")
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        if value is not _MISSING:
            self.mistake(field, value, 'write a list of texts, like ["21.8.0", "41.8.0"]')
        return ()

    def some_texts(self, field: str) -> tuple[str, ...]:
        """A list of texts; empty when absent. One text alone is a list of one."""
        value = self._take(field, False, "")
        if value is _MISSING:
            return ()
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(one, str) and one for one in listed):
            return tuple(listed)
        self.mistake(field, value, 'write a text, or a list of texts like ["a", "b"]')
        return ()

    def pairs(self, field: str) -> dict[str, str]:
        """A table of texts by name; empty when absent."""
        value = self._take(field, False, "")
        if value is _MISSING:
            return {}
        if isinstance(value, dict) and all(isinstance(one, str) and one for one in value.values()):
            return value
        self.mistake(field, value, 'write names and texts, like { "plug 1" = "12345678" }')
        return {}

    def flag(self, field: str, default: bool) -> bool:
        """true or false."""
        value = self._take(field, False, "")
        if isinstance(value, bool):
            return value
        if value is not _MISSING:
            self.mistake(field, value, "write true or false, without quotation marks")
        return default

    def whole(self, field: str, least: int, most: int, default: int, *, required: bool = False) -> int:
        """A whole number within limits."""
        value = self._take(field, required, f"a whole number from {least} to {most}")
        if value is _MISSING:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        how = ", without quotation marks" if isinstance(value, str) else ""
        self.mistake(field, value, f"write a whole number from {least} to {most}{how}")
        return default

    def wholes(self, field: str, least: int, most: int) -> tuple[int, ...]:
        """A list of whole numbers within limits; empty when absent."""
        value = self._take(field, False, "")
        if value is _MISSING:
            return ()
        if isinstance(value, list) and all(type(one) is int and least <= one <= most for one in value):
            return tuple(value)
        self.mistake(field, value, f"write a list of whole numbers from {least:#x} to {most:#x}")
        return ()

    def seconds(self, field: str, least: float, most: float, default: float) -> float:
        """A length of time in seconds within limits."""
        value = self._take(field, False, "")
        if value is _MISSING:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        self.mistake(field, value, f"write seconds from {least} to {most}")
        return default

    def seconds_or_none(self, field: str, least: float, most: float) -> float | None:
        """The same, None when absent."""
        self._asked.add(field)
        return self.seconds(field, least, most, least) if field in self._data else None

    def choice(self, field: str, choices: Sequence[_Choice], default: _Choice, *, required: bool = False) -> _Choice:
        """One of the given values."""
        listed = ", ".join(str(choice) for choice in choices)
        value = self._take(field, required, f"one of {listed}")
        if value is _MISSING:
            return default
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        alike = [choice for choice in choices if str(choice).lower() == str(value).lower()]
        near = alike or get_close_matches(str(value), [str(choice) for choice in choices], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        self.mistake(field, value, f"write one of {listed}{hint}")
        return default

    def decimal(self, field: str, default: Decimal) -> Decimal:
        """An exact number written as a text."""
        value = self._take(field, False, "")
        number = default if value is _MISSING else self._number(field, value)
        return default if number is None else number

    def decimal_or_none(self, field: str, nothing: str | None = None) -> Decimal | None:
        """The same without a default: None when absent or, if `nothing` is given, required and that text for None."""
        value = self._take(field, nothing is not None, f'an exact number in quotation marks, or "{nothing}"')
        return None if value is _MISSING or value == nothing else self._number(field, value)

    def hexadecimal(self, field: str) -> bytes:
        """Whole 16-bit words written as hexadecimal digits, spaces allowed."""
        value = self.text(field)
        digits = value.replace(" ", "")
        if re.fullmatch(r"([0-9A-Fa-f]{4})+", digits):
            return bytes.fromhex(digits)
        if value:
            self.mistake(field, value, 'write words of four hexadecimal digits, like "4366 3333"')
        return b""

    def table(self, field: str) -> Iterable[Table]:
        """The one table of that name, or nothing."""
        value = self._take(field, False, "")
        if isinstance(value, dict):
            yield Table(self._file, self._text, field, 0, value, self._mistakes)
        elif value is not _MISSING:
            self.mistake(field, value, f"write it as a table under [{field}]")

    def tables(self, field: str) -> Iterable[Table]:
        """Every table of that name."""
        value = self._take(field, False, "")
        if value is _MISSING:
            return
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.mistake(field, value, f"write tables under [[{field}]]")
            return
        for index, one in enumerate(value):
            yield Table(self._file, self._text, field, index, one, self._mistakes)

    def finish(self) -> None:
        """Note every field nobody asked for."""
        for field in self._data.keys() - self._asked:
            near = get_close_matches(field, self._asked, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(self._asked))}"
            self.mistake(field, self._data[field], f"this key is unknown; {hint}")

    def _number(self, field: str, value: object) -> Decimal | None:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return Decimal(value)
        self.mistake(field, value, 'write an exact number in quotation marks, like "0.01"')
        return None

    def _take(self, field: str, required: bool, wanted: str) -> object:
        self._asked.add(field)
        value = self._data.get(field, _MISSING)
        if value is _MISSING and required:
            self.mistake(field, None, f"is missing; write {wanted}")
        return value
