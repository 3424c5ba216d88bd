"""A fleet file before it is understood: its TOML, and every name it uses, to look up what is stored of them. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ingest.errors import Misconfigured
from storage.fleet_model import Mentioned


def parse(text: str) -> dict[str, Any]:
    """The TOML of a fleet file, numbers exact. Raises Misconfigured with the place when it is not TOML."""
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, InvalidOperation, RecursionError) as e:
        raise Misconfigured(f"the fleet file is not TOML: {e}; nothing was changed") from e
    _tighten(tables)
    return tables


def _tighten(tables: Mapping[str, Any]) -> None:
    """Keep each text once: of a region's file, keys and repeated names are half of the memory."""
    once: dict[str, str] = {}
    for value in tables.values():
        for number, entry in enumerate(value) if isinstance(value, list) else ():
            if isinstance(entry, dict):
                value[number] = {
                    once.setdefault(key, key): once.setdefault(one, one) if type(one) is str else one
                    for key, one in entry.items()
                }


def mentioned(tables: Mapping[str, Any]) -> Mentioned:
    """Every name the file uses, right or wrong."""

    def names(*places: tuple[str, str]) -> frozenset[str]:
        values = (one.get(key) for table, key in places for one in entries(tables.get(table)))
        return frozenset(name for name in values if isinstance(name, str) and name.isprintable())

    return Mentioned(
        lines=names(("line", "name"), ("meter", "line")),
        points=names(("point", "code"), ("installation", "point"), ("contract", "point")),
        meters=names(("meter", "serial"), ("installation", "meter")),
    )


def entries(value: object) -> list[dict[str, Any]]:
    """The tables in what should be a list of them."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
