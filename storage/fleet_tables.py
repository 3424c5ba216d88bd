"""The tables of a fleet file, one entry after another with the line it stands on. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from storage.fleet_entry import Entry
from storage.fleet_mistake import Mistake
from storage.fleet_names import entries

_LABELS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "line": lambda raw: f"{raw.get('name', '')}",
    "point": lambda raw: f"{raw.get('code', '')}",
    "meter": lambda raw: f"{raw.get('serial', '')}",
    "installation": lambda raw: f"{raw.get('meter', '')} at {raw.get('point', '')}",
    "contract": lambda raw: f"{raw.get('consumer', '')} at {raw.get('point', '')}",
}


def unknown_tables(tables: Mapping[str, Any], known: Collection[str]) -> Iterator[Mistake]:
    """A mistake for each table that a fleet file does not have."""
    for table in tables.keys() - known:
        near = get_close_matches(table, known, 1)
        hint = f"did you mean [[{near[0]}]]?" if near else f"known are {', '.join(f'[[{one}]]' for one in known)}"
        yield Mistake(table, "", None, "table", table, f"this table is unknown; {hint}")


def table_entries(
    text: str, tables: dict[str, Any], table: str, mistakes: list[Mistake]
) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    """The entries of one table, and what each was written as.

    They are taken out of `tables`: of a region's file what was read already would be most of the memory.
    """
    value = tables.pop(table, [])
    found = entries(value)
    if not isinstance(value, list) or len(found) != len(value):
        mistakes.append(Mistake(table, "", None, table, value, f"write tables under [[{table}]]"))
        return
    value.clear()
    places = _places(text, table)
    known = len(places) == len(found)
    for number, raw in enumerate(found):
        found[number] = {}
        yield Entry(table, _LABELS[table](raw), places[number] if known else None, raw, mistakes), raw


def _places(text: str, table: str) -> list[int]:
    """The lines on which the tables begin. Counted on from one to the next: a region's file has millions of lines."""
    places, line, seen = [], 1, 0
    for header in re.finditer(rf"^[ \t]*\[\[[ \t]*{table}[ \t]*\]\]", text, re.MULTILINE):
        line, seen = line + text.count("\n", seen, header.start()), header.start()
        places.append(line)
    return places
