"""How the whole is: processes, faults and the meters they silence, completeness, quarantine, dates that fall due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from ingest.alerts import Condition
from ingest.silence import Silence, silences
from storage import completeness, quarantine_room
from storage.completeness import FleetDay
from storage.processes import Process, processes
from storage.quarantine_room import FULL, Room
from storage.silence import heard, roads

AHEAD = timedelta(days=30)
"""A verification that ends within this time is due."""
DRIFTED = timedelta(seconds=30)
"""A meter's clock further off than this is told of: half-hours of the load profile are no longer ours."""
_MOST = 100

_DUE = """
SELECT m.serial, p.code, m.verified_until FROM meter m
JOIN installation i ON i.meter_id = m.id AND i.since <= now() AND (i.until IS NULL OR i.until > now())
JOIN point p ON p.id = i.point_id
WHERE m.verified_until < %(until)s ORDER BY m.verified_until, m.serial LIMIT %(most)s
"""
_DRIFTS = """
SELECT m.serial, p.code, c.drift, c.tried_at FROM last_contact c
JOIN meter m ON m.id = c.meter_id
JOIN installation i ON i.meter_id = m.id AND i.since <= now() AND (i.until IS NULL OR i.until > now())
JOIN point p ON p.id = i.point_id
WHERE c.drift > %(most)s OR c.drift < -%(most)s ORDER BY abs(extract(epoch FROM c.drift)) DESC LIMIT %(rows)s
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A meter at work whose verification ends (or ended) on `last`."""

    meter: str
    point: str
    last: date


@dataclass(frozen=True, slots=True)
class Drift:
    """A meter whose clock was `ahead` of ours (negative: behind) when it was last read."""

    meter: str
    point: str
    ahead: timedelta
    noticed_at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """One look. `meters` are installed meters that should be heard by themselves; `faults` say which are not and why.

    `yesterday` is the last day that is over in UTC, as last counted.
    """

    at: datetime
    processes: tuple[Process, ...]
    meters: int
    faults: tuple[Silence, ...]
    yesterday: FleetDay
    quarantine: Room
    due: tuple[Due, ...]
    drifts: tuple[Drift, ...]

    @property
    def silent(self) -> int:
        return len({meter for fault in self.faults for meter in fault.meters})


async def look(conn: psycopg.AsyncConnection[Any], now: datetime) -> Health:
    """The state of everything, from the database alone."""
    running = await processes(conn)
    count, meters = await heard(conn)
    due = await (await conn.execute(_DUE, {"until": (now + AHEAD).date(), "most": _MOST})).fetchall()
    drifts = await (await conn.execute(_DRIFTS, {"most": DRIFTED, "rows": _MOST})).fetchall()
    return Health(
        now,
        tuple(running),
        count,
        tuple(silences(meters, roads(running), now)),
        await completeness.of_day(conn, now.date() - timedelta(days=1)),
        await quarantine_room.look(conn),
        tuple(Due(*row) for row in due),
        tuple(Drift(*row) for row in drifts),
    )


def conditions(health: Health) -> list[Condition]:
    """What of it people should be told."""
    found = [_fault(fault) for fault in health.faults]
    if health.quarantine.told:
        level = "quarantine_full" if health.quarantine.told == FULL else "quarantine"
        room = f"{health.quarantine.rows} rows, {health.quarantine.share:.0%} full; amr quarantine list"
        found.append(Condition("quarantine", level, level, room))
    found += [_spool(process) for process in health.processes if process.state.get("spool", {}).get("level")]
    found += _certificates(health)
    found += [
        Condition(f"verification:{due.meter}", "verification", "verification_due", f"{due.point}: until {due.last}")
        for due in health.due
    ]
    found += [
        Condition(f"clock:{one.meter}", "clock", "clock_drift", f"{one.point}: {seconds(one.ahead)}")
        for one in health.drifts
    ]
    return found


def _fault(fault: Silence) -> Condition:
    count = f"{len(fault.meters)} meters" if len(fault.meters) > 1 else f"meter {fault.meters[0]}"
    since = "never heard" if fault.since is None else f"silent since {fault.since:%Y-%m-%d %H:%MZ}"
    detail = "; ".join(part for part in (count, since, fault.detail) if part)
    return Condition(f"{fault.level.value}:{fault.place}", fault.level.value, fault.cause, detail)


def _certificates(health: Health) -> list[Condition]:
    """Those that end within the time, as the processes say; a file shared by several is one."""
    ends = {one["file"]: one["until"] for process in health.processes for one in process.state.get("certificates", ())}
    soon = (health.at + AHEAD).isoformat()
    return [
        Condition(f"certificate:{file}", "certificate", "certificate_due", f"{file} ends {until}")
        for file, until in ends.items()
        if until < soon
    ]


def _spool(process: Process) -> Condition:
    spool = process.state["spool"]
    level = "spool_full" if spool["level"] == "full" else "spool"
    return Condition(
        f"spool:{process.name}", level, level, f"{spool['rows']} batches wait on the disk of {process.name}"
    )


def seconds(ahead: timedelta) -> str:
    """A clock's error for people."""
    seconds = ahead.total_seconds()
    return f"{abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
