"""One thing wrong in a TOML file: where it stands, what stands there, and what to do about it. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SECRET = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)
_AT_LINE = re.compile(r"\(at line (\d+),")
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a file: where, what stands there and what to do about it."""

    file: str
    line: int | None
    table: str
    field: str
    value: object
    remedy: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        table = f"[{self.table}] " if self.table else ""
        value = "•••" if _SECRET.search(self.field) else _short(self.value)
        return f"{where}: {table}{self.field}{value and f' = {value}'}: {self.remedy}"


def _short(value: object) -> str:
    """A value as a person looks for it in the file; of tables the name is enough."""
    tables = isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(one, Mapping) for one in value))
    if value is None or tables:
        return ""
    said = repr(value)
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


def by_line(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """Mistakes as one meets them going down the file; what stands nowhere in it comes first."""
    return tuple(sorted(mistakes, key=lambda one: one.line or 0))


def no_toml(file: str, error: UnicodeDecodeError | tomllib.TOMLDecodeError) -> Mistake:
    """What is wrong with a file that cannot be read at all."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return Mistake(file, line, "", "content", None, f"{error}; write the file in UTF-8")
    match = _AT_LINE.search(str(error))
    return Mistake(file, int(match[1]) if match else None, "", "content", None, f"{error}; write valid TOML in UTF-8")


def line_of(text: str, table: str, index: int, field: str) -> int | None:
    """The line (from 1) where a field of the `index`-th table of that name stands, else where the table begins.

    tomllib keeps no positions; files written one key a line, as ours are, are found exactly.
    """
    header = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
    key = re.compile(rf"\s*[\"']?{re.escape(field)}[\"']?\s*=")
    nested = f"{table}.{field}" if table else field
    current, seen, began = "", 0, None
    for number, line in enumerate(text.splitlines(), 1):
        if match := header.match(line):
            current = match.group(1)
            seen += current == table
            if current == table and seen == index + 1:
                began = number
            if current == nested and seen >= (index + 1 if table else 0):
                return number
        elif current == table and (not table or seen == index + 1) and key.match(line):
            return number
    return began
