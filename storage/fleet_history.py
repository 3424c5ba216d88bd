"""Where a change of the fleet would contradict what is stored: earlier installations, and readings already taken."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any, TypeVar

import psycopg

from ingest.errors import FleetConflict
from ingest.model import Installation
from storage.fleet_boundaries import boundary_conflicts, first_reading
from storage.fleet_model import Fleet, overlap
from storage.fleet_pairs import Pair, Pairs
from storage.fleet_words import place_of, span_of

_Conn = psycopg.AsyncConnection[Any]
_TOGETHER = 10_000

# A probe of the key each, whatever is asked for: of a whole fleet a join would read all of the history. What `series`
# knows of needs none.
_READ_CHANNELS = """
SELECT m.serial, r.channel FROM meter m JOIN register r ON r.meter_id = m.id
CROSS JOIN LATERAL (
    (SELECT 1 FROM series WHERE register_id = r.id LIMIT 1)
    UNION ALL
    (SELECT 1 FROM reading WHERE register_id = r.id LIMIT 1)
    LIMIT 1) read
WHERE m.serial = ANY(%s)
"""

_ON_BUS = """
SELECT m.serial, l.name, m.address FROM meter m JOIN line l ON l.id = m.line_id
JOIN unnest(%(lines)s::text[], %(addresses)s::text[]) AS w(line, address) ON w.line = l.name AND w.address = m.address
WHERE m.serial <> ALL(%(mine)s)
"""
_WITH_CODE = "SELECT code, official_code FROM point WHERE official_code = ANY(%(codes)s) AND code <> ALL(%(mine)s)"
_ON_WIRE = "SELECT name, address FROM line WHERE address = ANY(%(addresses)s) AND name <> ALL(%(mine)s)"


async def check_apply(conn: _Conn, wanted: Fleet, stored: Fleet, pairs: Pairs) -> None:
    """Raise FleetConflict with everything in the file that contradicts stored history; changes nothing."""
    changed = [one for one in pairs.installations if one.wanted != one.stored]
    serials = {one.wanted.meter for one in changed} | {one.stored.meter for one in changed if one.stored}
    other = {serial for serial, new in wanted.meters.items() if (old := stored.meters.get(serial)) and old != new}
    read = await channels_with_readings(conn, serials | other)
    conflicts = [
        *await used_elsewhere(conn, wanted),
        *_meter_conflicts(wanted, stored, read),
        *_taken(changed, pairs.other_installations),
        *_contract_conflicts(pairs),
    ]
    meters_read = {serial for serial, _ in read}
    everything = chain((one.wanted for one in pairs.installations), pairs.other_installations)
    by_meter = _grouped((one for one in everything if one.meter in meters_read), lambda one: one.meter)
    for one in changed:
        if one.stored is not None:
            conflicts += await _correction_conflicts(conn, one.wanted, one.stored, meters_read)
        if one.wanted.meter in meters_read:
            following = following_of(one.wanted, by_meter[one.wanted.meter])
            conflicts += await boundary_conflicts(conn, one.wanted, following)
    raise_conflicts(conflicts)


def raise_conflicts(conflicts: Sequence[str]) -> None:
    """One FleetConflict for all of them, if there are any."""
    if conflicts:
        raise FleetConflict("\n".join(["this contradicts what is stored; nothing was changed:", *conflicts]))


def following_of(one: Installation, all_of_meter: Iterable[Installation]) -> datetime | None:
    """When the same meter was put up again after this installation ended."""
    return min((other.since for other in all_of_meter if one.until and other.since >= one.until), default=None)


async def channels_with_readings(conn: _Conn, serials: Iterable[str]) -> set[tuple[str, str]]:
    """(serial, channel) of every register of these meters that has a reading."""
    found: set[tuple[str, str]] = set()
    left = iter(serials)
    while some := list(islice(left, _TOGETHER)):  # of a region: a statement may not take longer than the pool allows
        found.update(await (await conn.execute(_READ_CHANNELS, (some,))).fetchall())
    return found


def _meter_conflicts(wanted: Fleet, stored: Fleet, read: set[tuple[str, str]]) -> Iterator[str]:
    """A device neither changes its model nor its digits once it has been read."""
    meters_read = {serial for serial, _ in read}
    for serial, new in wanted.meters.items():
        old = stored.meters.get(serial)
        if old is None:
            continue
        if old.meter.model != new.meter.model and serial in meters_read:
            yield (
                f"meter {serial}: model {new.meter.model!r}, but this serial number is stored as model "
                f"{old.meter.model!r} and has readings; a device does not change its model: check the serial number"
            )
            continue
        for channel, spec in new.registers.items():
            before = old.registers.get(channel)
            if before is None or before.digits in (None, spec.digits) or (serial, channel) not in read:
                continue
            yield (
                f"meter {serial}: register {channel} with {spec.digits or 'any'} digits, but it is stored with "
                f"{before.digits} and has readings, whose rollovers depend on it; keep digits = {before.digits}"
            )


def _taken(changed: Sequence[Pair], left: Sequence[Installation]) -> Iterator[str]:
    """Stored installations, not in the file, that stand where or when the file wants something else."""
    by_point = _grouped(left, lambda one: one.point)
    by_meter = _grouped(left, lambda one: one.meter)
    for one in changed:
        wanted = one.wanted
        for other in by_point.get(wanted.point, ()):
            if overlap(wanted, other):
                yield (
                    f"installation {place_of(wanted)}: meter {other.meter} is stored at point {other.point} "
                    f"{span_of(other)}; end that installation first (until, closing), or use `amr meter exchange`"
                )
        for other in by_meter.get(wanted.meter, ()):
            if overlap(wanted, other) and other.point != wanted.point:
                yield (
                    f"installation {place_of(wanted)}: the meter is stored at point {other.point} {span_of(other)}; "
                    "end that installation first (until, closing), or check the serial number"
                )


def _contract_conflicts(pairs: Pairs) -> Iterator[str]:
    left = _grouped(pairs.other_contracts, lambda one: (one.consumer, one.point))
    for wanted, _ in pairs.contracts:
        for other in left.get((wanted.consumer, wanted.point), ()):
            if overlap(wanted, other):
                yield (
                    f"contract {wanted.consumer} at {wanted.point} {span_of(wanted)}: another contract of this "
                    f"consumer is stored {span_of(other)}; give one of them an until"
                )


async def used_elsewhere(conn: _Conn, wanted: Fleet) -> list[str]:
    """What may be had once and belongs to something stored that the file does not name."""
    on_lines = [one.meter for one in wanted.meters.values() if one.meter.line is not None]
    on_bus = {
        "lines": [meter.line for meter in on_lines],
        "addresses": [meter.address for meter in on_lines],
        "mine": list(wanted.meters),
    }
    codes = {point.official_code: code for code, point in wanted.points.items() if point.official_code}
    wires = {line.address: name for name, line in wanted.lines.items()}
    used = {(line, address): serial for serial, line, address in await _all(conn, _ON_BUS, on_bus)}
    points = await _all(conn, _WITH_CODE, {"codes": list(codes), "mine": list(wanted.points)})
    lines = await _all(conn, _ON_WIRE, {"addresses": list(wires), "mine": list(wanted.lines)})
    return [
        *(
            f"meter {meter.serial}: address {meter.address!r} on line {meter.line!r} belongs to stored meter "
            f"{used[meter.line, meter.address]}; give that one another address, or none, in the same file"
            for meter in on_lines
            if (meter.line, meter.address) in used
        ),
        *(
            f"point {codes[official]}: official_code {official!r} belongs to stored point {code}; check both"
            for code, official in points
        ),
        *(
            f"line {wires[address]}: address {address!r} belongs to stored line {name}; one wire is one line"
            for name, address in lines
        ),
    ]


async def _all(conn: _Conn, question: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return await (await conn.execute(question.encode(), asked)).fetchall()


async def _correction_conflicts(
    conn: _Conn, wanted: Installation, stored: Installation, meters_read: set[str]
) -> list[str]:
    """What a correction of a stored installation may not do under its readings."""
    conflicts = []
    if stored.until is not None and wanted.until is None and stored.closing:
        conflicts.append(
            f"installation {place_of(wanted)}: it has no until, but it is stored as taken down at "
            f"{stored.until.isoformat()} with closing readings; write that until, or `amr fleet export` first"
        )
    fields = [
        (name, old, new, remedy)
        for name, old, new, remedy in (
            ("meter", stored.meter, wanted.meter, "use `amr meter exchange` for a new meter"),
            ("since", stored.since.isoformat(), wanted.since.isoformat(), "keep the stored instant"),
            ("ct", stored.ct, wanted.ct, "use `amr meter ratio` for new transformers"),
            ("vt", stored.vt, wanted.vt, "use `amr meter ratio` for new transformers"),
        )
        if old != new
    ]
    if fields and stored.meter in meters_read:
        first = await first_reading(conn, stored.meter, min(stored.since, wanted.since), stored.until)
        if first is not None:
            conflicts += [
                f"installation {place_of(stored)}: {name} {new}, but it is stored with {old} and meter {stored.meter} "
                f"has readings there since {first.isoformat()}; {remedy}"
                for name, old, new, remedy in fields
            ]
    return conflicts


_One = TypeVar("_One")


def _grouped(items: Iterable[_One], key: Callable[[_One], Hashable]) -> dict[Hashable, list[_One]]:
    groups: dict[Hashable, list[_One]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
