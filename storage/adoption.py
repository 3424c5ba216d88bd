"""Adopting a meter that speaks and is not in the fleet: it is put up at a point, and what it said so far comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from ingest.errors import FleetConflict, Misconfigured, NotFound
from ingest.model import Installation, Meter, MeteringPoint
from storage.database import Database
from storage.fleet import apply
from storage.fleet_model import Fleet, FleetMeter, Mentioned, Models
from storage.fleet_stored import load
from storage.fleet_toml import write_toml
from storage.held import Parse, Understanding, held_pieces
from storage.quarantine import Which
from storage.replay import Replayed, replay

BACKLOG = timedelta(days=31)
"""How old a reading may be when it comes for the installation to begin with it; an older one is a wrong clock's."""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an engineer says of the meter. Without a gateway it is the one that spoke for it, without `since` it stands
    there since its first reading in quarantine. `zone` makes the point when there is none.
    """

    serial: str
    point: str
    model: str
    gateway: str | None = None
    since: datetime | None = None
    ct: Decimal = Decimal(1)
    vt: Decimal = Decimal(1)
    opening: Mapping[str, Decimal] = field(default_factory=dict)
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of it. `changed` is False when the meter stood there already and only its readings came in."""

    gateway: str | None
    since: datetime
    changed: bool
    replayed: Replayed


@dataclass(slots=True)
class _Heard:
    gateways: set[str] = field(default_factory=set)
    since: datetime | None = None
    first_at: datetime | None = None


async def adopt(
    database: Database,
    parse: Parse,
    models: Models,
    wish: Adoption,
    *,
    author: str | None = None,
    most: int | None = None,
) -> Adopted:
    """Add the meter, put it up at the point and replay its quarantined readings (with `most`, about so many pieces).

    The fleet is changed first, in one transaction: repeat the command when the replay was broken off. Raises NotFound
    (no such point, nothing heard of the meter), Misconfigured or FleetConflict; then nothing was changed.
    """
    if wish.model not in models:
        known = ", ".join(sorted(models))
        raise Misconfigured(f"model {wish.model!r} is not in the catalogue; known are {known}")
    heard = await _listen(database, parse, wish.serial)
    gateway = wish.gateway or _only(heard.gateways, wish.serial)
    since = wish.since or heard.since or heard.first_at
    if since is None:
        raise NotFound(
            f"nothing of meter {wish.serial!r} is in quarantine; `amr meter unknown` lists who speaks, "
            "and a fleet file adds a meter that was not heard yet"
        )
    async with database.connection() as conn:
        changed = await _enter(conn, models, wish, gateway, since.astimezone(UTC), author)
    return Adopted(gateway, since, changed, await replay(database, parse, Which(meter=wish.serial), most=most))


async def _listen(database: Database, parse: Parse, serial: str) -> _Heard:
    """Who spoke for the meter, and since when it is heard of."""
    heard, understood, after = _Heard(), Understanding(parse), 0
    while True:
        async with database.connection() as conn:
            held = await held_pieces(conn, Which(meter=serial), after=after)
        if not held:
            return heard
        after = held[-1].id
        for one in held:
            heard.first_at = min(one.first_at, heard.first_at or one.first_at)
            delivery = understood.share(one)
            if delivery.gateway is not None:
                heard.gateways.add(delivery.gateway)
            for reading in delivery.readings:
                if reading.meter == serial and one.first_at - BACKLOG <= reading.taken_at:
                    heard.since = min(reading.taken_at, heard.since or reading.taken_at)


def _only(gateways: set[str], serial: str) -> str | None:
    if len(gateways) > 1:
        raise Misconfigured(
            f"several gateways spoke for meter {serial}: {', '.join(sorted(gateways))}; name its own with --gateway"
        )
    return next(iter(gateways), None)


async def _enter(
    conn: _Conn, models: Models, wish: Adoption, gateway: str | None, since: datetime, author: str | None
) -> bool:
    """Change the fleet as a file would, with all its checks; False when there is nothing to change."""
    stored = await load(conn, Mentioned(frozenset(), frozenset({wish.point}), frozenset({wish.serial})))
    point = stored.points.get(wish.point)
    if point is None:
        if wish.zone is None:
            raise NotFound(f"there is no point {wish.point!r}; name its time zone with --zone to make it")
        point = MeteringPoint(wish.point, zone=wish.zone)
    known = stored.meters.get(wish.serial)
    if known is not None:
        _check_known(known.meter, wish.model, gateway)
        if any((one.point, one.meter, one.until) == (wish.point, wish.serial, None) for one in stored.installations):
            return False
    meters = {} if known else {wish.serial: FleetMeter(Meter(wish.serial, wish.model, gateway=gateway), {})}
    installation = Installation(wish.point, wish.serial, since, None, wish.ct, wish.vt, wish.opening)
    fleet = Fleet(points={wish.point: point}, meters=meters, installations=[installation])
    await apply(conn, write_toml(fleet, models), models, author=author)
    return True


def _check_known(meter: Meter, model: str, gateway: str | None) -> None:
    """A meter of the fleet may be put up, not changed: that is a fleet file's business."""
    if meter.model != model:
        raise FleetConflict(f"meter {meter.serial} is in the fleet as model {meter.model!r}, not {model!r}")
    if gateway is not None and meter.gateway != gateway:
        owner = (
            f"line {meter.line!r}" if meter.line else f"gateway {meter.gateway!r}" if meter.gateway else "no gateway"
        )
        raise FleetConflict(
            f"meter {meter.serial} is in the fleet and belongs to {owner}, not to gateway {gateway!r}; if it moved, "
            f"say so in a fleet file and run `amr quarantine replay --meter {meter.serial}`"
        )
