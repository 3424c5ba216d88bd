"""What is wrong with a fleet file: each mistake named with its place and remedy, all of them in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ingest.errors import Misconfigured
from storage.fleet_secrets import MASK, is_secret

ABSENT = object()
"""Stands for the value of a field that is not there."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong: in which table and entry (a serial, a code), on which line, which field and value, what to do."""

    table: str
    entry: str
    line: int | None
    field: str
    value: object
    remedy: str

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        entry = f" {self.entry}" if self.entry else ""
        value = "" if self.value is ABSENT else f" = {shown(self.value)}"
        return f"{where}[[{self.table}]]{entry}: {self.field}{value}: {self.remedy}"


class FleetMistakes(Misconfigured):
    """Everything wrong with a fleet file at once."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"the fleet file has {count}; nothing was changed:", *map(str, mistakes)]))
        self.mistakes = tuple(mistakes)


def shown(value: object) -> str:
    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, dict):
        said = (f"{key} = {MASK if is_secret(key) else shown(one)}" for key, one in value.items())
        return "{" + ", ".join(said) + "}"
    return repr(value)
