"""A measured figure beside its ceiling of the same run, printed and kept as one line of JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """`ceiling` is the same work without our code, in the same unit; `must` the target as issue and table say it."""

    name: str
    value: float
    unit: str
    ceiling: float | None = None
    must: str = ""
    detail: str = ""


def record(figure: Figure) -> None:
    """Print the figure and add it to today's file of results."""
    ratio = None if not figure.ceiling else round(figure.value / figure.ceiling, 3)
    line = json.dumps(
        {
            "name": figure.name,
            "value": _short(figure.value),
            "unit": figure.unit,
            "ceiling": None if figure.ceiling is None else _short(figure.ceiling),
            "ratio": ratio,
            "must": figure.must,
            "detail": figure.detail,
            "machine": _machine(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        ensure_ascii=False,
    )
    print(line, flush=True)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _short(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def _machine() -> str:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{system}, load {load:.1f}, Python {platform.python_version()}"
