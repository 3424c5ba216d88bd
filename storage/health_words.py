"""A look at the whole as plain data: the same for `amr status --json`, the API and messages to other programs."""

from __future__ import annotations

from typing import Any

from ingest.remedies import remedy
from ingest.silence import Silence
from storage.completeness import Day, FleetDay
from storage.health import Health


def health_json(health: Health) -> dict[str, Any]:
    """Instants in ISO 8601 UTC, durations in seconds, shares as they are: only strings, numbers, lists and nulls."""
    return {
        "at": health.at.isoformat(),
        "meters": health.meters,
        "silent": health.silent,
        "faults": [fault_json(fault) for fault in health.faults],
        "yesterday": _day(health.yesterday),
        "quarantine": {"rows": health.quarantine.rows, "share": round(health.quarantine.share, 4)},
        "verifications_due": [
            {"meter": due.meter, "point": due.point, "last_day": due.last.isoformat()} for due in health.due
        ],
        "clock_drifts": [
            {"meter": one.meter, "point": one.point, "seconds": one.ahead.total_seconds()} for one in health.drifts
        ],
        "processes": [
            {
                "role": one.role,
                "name": one.name,
                "alive": one.alive,
                "started_at": one.started_at.isoformat(),
                "seen_at": one.seen_at.isoformat(),
                "state": dict(one.state),
            }
            for one in health.processes
        ],
    }


def fault_json(fault: Silence) -> dict[str, Any]:
    """One fault, with what to try in both languages."""
    what = remedy(fault.cause)
    return {
        "level": fault.level.value,
        "place": fault.place,
        "cause": fault.cause,
        "since": None if fault.since is None else fault.since.isoformat(),
        "meters": list(fault.meters),
        "detail": fault.detail,
        "remedy": {"en": what.en, "ru": what.ru},
    }


def _day(day: FleetDay) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "points": day.points,
        "expected": day.expected,
        "received": day.received,
        "lacking": day.lacking,
        "worst": [point_day(one) for one in day.worst],
    }


def point_day(one: Day) -> dict[str, Any]:
    """One point's day."""
    return {"day": one.day.isoformat(), "point": one.point, "expected": one.expected, "received": one.received}
