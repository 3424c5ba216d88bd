"""History made at a point: a meter exchanged for another one, or its transformers for others.

Both end the installation that stands there and begin the next at the same instant. What contradicts stored readings or
installations is refused by name, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.channel import is_counter, to_micro
from ingest.errors import FleetConflict, Misconfigured, NotFound
from ingest.model import Installation, Meter, RegisterSpec
from storage.fleet import tell_collectors
from storage.fleet_boundaries import boundary_conflicts
from storage.fleet_history import channels_with_readings, following_of, raise_conflicts, used_elsewhere
from storage.fleet_lock import lock_fleet
from storage.fleet_model import Fleet, FleetMeter, Mentioned, overlap
from storage.fleet_stored import load
from storage.fleet_wires import bus_mistake
from storage.fleet_words import place_of, show_number, span_of
from storage.fleet_write import write_installations, write_meters

_EVENT = """
INSERT INTO event (at, kind, point_id, meter_id, detail)
VALUES (%s, %s, (SELECT id FROM point WHERE code = %s), (SELECT id FROM meter WHERE serial = %s), %s)
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Replacement:
    """The meter that comes: `model` and `registers` are needed when its serial number is not stored yet.

    Without a line, address or gateway of its own it takes over those of the meter that goes. `verified_until` is
    the last day of its verification, None: what is stored of it stays.
    """

    serial: str
    opening: Mapping[str, Decimal]
    model: str | None = None
    registers: Sequence[RegisterSpec] = ()
    line: str | None = None
    address: str | None = None
    gateway: str | None = None
    verified_until: date | None = None


async def exchange(
    conn: _Conn,
    point: str,
    at: datetime,
    closing: Mapping[str, Decimal],
    new: Replacement,
    *,
    ct: Decimal | None = None,
    vt: Decimal | None = None,
    author: str | None = None,
) -> tuple[Installation, Installation]:
    """Take the meter at `point` down at `at` and put `new` up; gives both installations as stored.

    `closing` and `new.opening` are register values by channel: of every counter of the old meter that was ever read,
    and of the same counters of the new one. Ratios stay unless given. The meter that goes is no longer polled.
    Raises NotFound, Misconfigured (arguments), FleetConflict (history) or FleetBusy.
    """
    await lock_fleet(conn, author)
    fleet, standing = await _standing(conn, point, at, new.serial, new.line)
    old = fleet.meters[standing.meter]
    if new.serial == standing.meter:
        raise Misconfigured(f"meter {new.serial} stands at {point} already; for new transformers use `amr meter ratio`")
    coming = _coming(new, old, fleet)
    read = await channels_with_readings(conn, [standing.meter])
    needed = sorted(channel for _, channel in read if is_counter(channel))
    _require("closing", standing.meter, closing, needed, old.registers)
    _require("opening", new.serial, new.opening, [c for c in closing if c in coming.registers], coming.registers)
    ended = replace(standing, until=at, closing=dict(closing))
    begun = Installation(point, new.serial, at, None, ct or standing.ct, vt or standing.vt, dict(new.opening), {})
    gone = replace(old, meter=replace(old.meter, line=None, address=None, gateway=None))
    await _check_exchange(conn, fleet, Fleet(meters={standing.meter: gone, new.serial: coming}), ended, begun)
    await write_meters(conn, [gone, coming], fleet.meters)
    await write_installations(conn, [begun], [(standing, ended)])
    await _record(conn, "exchange", ended, begun, author)
    return ended, begun


async def _check_exchange(conn: _Conn, stored: Fleet, meters: Fleet, ended: Installation, begun: Installation) -> None:
    """Raise FleetConflict with all that forbids it: another place of the new meter, its bus address, readings."""
    others = [one for one in stored.installations if (one.point, one.since) != (ended.point, ended.since)]
    raise_conflicts(
        [
            *await used_elsewhere(conn, meters),
            *(
                f"meter {begun.meter} is stored at point {one.point} {span_of(one)}; end that installation first"
                for one in others
                if one.meter == begun.meter and overlap(begun, one)
            ),
            *await boundary_conflicts(conn, ended, following_of(ended, (o for o in others if o.meter == ended.meter))),
            *await boundary_conflicts(conn, begun, None),
        ]
    )


async def change_ratio(
    conn: _Conn,
    point: str,
    at: datetime,
    readings: Mapping[str, Decimal],
    *,
    ct: Decimal | None = None,
    vt: Decimal | None = None,
    author: str | None = None,
) -> tuple[Installation, Installation]:
    """Give the meter at `point` other transformer ratios from `at` on; gives both installations as stored.

    `readings` are the register values at that instant, of every counter that was ever read: they close the old ratio
    and open the new one. Raises NotFound, Misconfigured (arguments), FleetConflict (history) or FleetBusy.
    """
    await lock_fleet(conn, author)
    fleet, standing = await _standing(conn, point, at, None)
    new_ct, new_vt = ct or standing.ct, vt or standing.vt
    if (new_ct, new_vt) == (standing.ct, standing.vt):
        raise Misconfigured(f"ct {new_ct} and vt {new_vt} are the ratios {point} has already; write the new ones")
    read = await channels_with_readings(conn, [standing.meter])
    needed = sorted(channel for _, channel in read if is_counter(channel))
    _require("readings", standing.meter, readings, needed, fleet.meters[standing.meter].registers)
    ended = replace(standing, until=at, closing=dict(readings))
    begun = replace(standing, since=at, ct=new_ct, vt=new_vt, opening=dict(readings), closing={})
    raise_conflicts(
        [
            *await boundary_conflicts(conn, ended, following=at),
            *await boundary_conflicts(conn, begun, following=None),
        ]
    )
    await write_installations(conn, [begun], [(standing, ended)])
    await _record(conn, "ratio", ended, begun, author)
    return ended, begun


async def _standing(
    conn: _Conn, point: str, at: datetime, other: str | None, line: str | None = None
) -> tuple[Fleet, Installation]:
    """The fleet around the point (with another meter and line), and the open installation that covers `at`."""
    if at.utcoffset() is None:
        raise Misconfigured(f"at {at.isoformat()} has no time zone; write it with its offset, like +04:00")
    if at > datetime.now(UTC):
        raise Misconfigured(f"at {at.isoformat()} is in the future; write when it happened")
    there = await load(conn, Mentioned(frozenset(), frozenset({point}), frozenset({other} if other else ())))
    if point not in there.points:
        raise NotFound(f"there is no point {point!r}; `amr fleet show` lists them")
    standing = next((one for one in there.installations if one.point == point and one.until is None), None)
    if standing is None:
        raise FleetConflict(f"no meter stands at point {point}; put one up with an [[installation]] in a fleet file")
    if at <= standing.since:
        raise FleetConflict(
            f"at {at.isoformat()} is not after meter {standing.meter} was put up at point {point}, "
            f"{standing.since.isoformat()}; write a later instant"
        )
    meters = frozenset({standing.meter, other or standing.meter})
    there = await load(conn, Mentioned(frozenset(), frozenset({point}), meters))
    lines = frozenset(name for name in (line, *(one.meter.line for one in there.meters.values())) if name)
    return await load(conn, Mentioned(lines, frozenset({point}), meters)), standing


def _coming(new: Replacement, old: FleetMeter, fleet: Fleet) -> FleetMeter:
    """The new meter as it will be stored."""
    if not new.serial.strip() or not new.serial.isprintable():
        raise Misconfigured(f"serial number {new.serial!r} of the new meter is blank; write what its plate says")
    known = fleet.meters.get(new.serial)
    if known is not None and new.model not in (None, known.meter.model):
        raise FleetConflict(
            f"meter {new.serial}: model {new.model!r}, but it is stored as {known.meter.model!r}; check the serial"
        )
    if known is None and (new.model is None or not new.registers):
        raise Misconfigured(f"meter {new.serial} is not stored yet; name its model, one of the catalogue's")
    registers = known.registers if known else {spec.channel: spec for spec in new.registers}
    meter = known.meter if known else Meter(new.serial, new.model or "", period=old.meter.period)
    meter = replace(meter, verified_until=new.verified_until or meter.verified_until)
    return FleetMeter(_reached(meter, old.meter, new, fleet), registers)


def _reached(meter: Meter, old: Meter, new: Replacement, fleet: Fleet) -> Meter:
    """How the new meter is reached: as said, as stored, or like the old one."""
    if new.gateway is not None:
        if new.line is not None or new.address is not None:
            raise Misconfigured(f"gateway {new.gateway!r} and a line: a meter is reached by one of them; keep one")
        return replace(meter, line=None, address=None, gateway=new.gateway)
    known = meter if meter.line is not None or meter.gateway is not None else old
    line = new.line or known.line
    if line is None:
        if new.address is not None:
            raise Misconfigured(f"address {new.address!r} without a line; name the line it is on")
        return replace(meter, line=None, address=None, gateway=known.gateway)
    address = new.address or known.address or ""
    if line not in fleet.lines:
        raise Misconfigured(f"line {line!r} is not stored; add it with a fleet file, or check its name")
    if wrong := bus_mistake(fleet.lines[line], address):
        raise Misconfigured(f"address {address!r} on line {line!r}: {wrong}")
    return replace(meter, line=line, address=address, gateway=None)


def _require(
    name: str, serial: str, given: Mapping[str, Decimal], needed: Sequence[str], registers: Mapping[str, RegisterSpec]
) -> None:
    """Raise Misconfigured unless all needed channels are given and all given ones exist."""
    missing = [channel for channel in needed if channel not in given]
    if missing:
        raise Misconfigured(
            f"{name} of meter {serial} lacks {', '.join(missing)}; read them off the meter and write them like "
            f"{missing[0]}=12345.6"
        )
    for channel, value in given.items():
        spec = registers.get(channel)
        if spec is None:
            known = ", ".join(sorted(registers))
            raise Misconfigured(f"{name} {channel} = {value}: meter {serial} has no such register; it has {known}")
        if value < 0 or value >= 10 ** (spec.digits or 12) or value != Decimal(to_micro(value)).scaleb(-6):
            raise Misconfigured(
                f"{name} {channel} = {value}: the register shows {spec.digits or 12} digits and at most 6 decimals, "
                "from zero on"
            )


async def _record(conn: _Conn, kind: str, ended: Installation, begun: Installation, author: str | None) -> None:
    """Leave an event, and tell the collectors."""
    detail = {
        "old": place_of(ended),
        "new": place_of(begun),
        "closing": {channel: show_number(value) for channel, value in ended.closing.items()},
        "opening": {channel: show_number(value) for channel, value in begun.opening.items()},
        "old_ratio": show_number(ended.ratio),
        "new_ratio": show_number(begun.ratio),
        "author": author,
    }
    await conn.execute(_EVENT, (begun.since, kind, begun.point, begun.meter, Jsonb(detail)))
    await tell_collectors(conn)
