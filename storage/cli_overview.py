"""All points at a glance as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from storage.overview import Glance


def glances_table(glances: Sequence[Glance]) -> Table:
    """One row a point, what is silent in red."""
    table = Table("point", "meter", "by", "last, kWh", "age", "source", "quality", box=None)
    now = datetime.now(UTC)
    for one in glances:
        age = "" if one.taken_at is None else str(timedelta(seconds=int((now - one.taken_at).total_seconds())))
        silent = Text(one.failure, "red") if one.failure else ""
        table.add_row(
            one.point,
            one.meter or "no meter",
            one.via or "people",
            "" if one.value is None else f"{one.value:.3f}",
            age,
            "" if one.source is None else one.source.label,
            silent or ("" if one.quality is None else one.quality.label),
        )
    return table
