"""The fleet written as the TOML file that `fleet apply` reads back without a difference. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingest.model import Installation, Line, MeteringPoint, RegisterSpec
from storage.fleet_model import Contract, Fleet, FleetMeter, Models
from storage.fleet_secrets import MASKED_NOTE, masked
from storage.fleet_words import show_number, show_period

_PLAIN = MeteringPoint("any")


def write_toml(fleet: Fleet, models: Models, *, secrets: bool = False) -> str:
    """The whole fleet; registers are written out only where they are not what `models` says.

    Passwords are stars unless `secrets` are wanted; the file then says what stars mean.
    """
    if not secrets:
        hidden = _without_secrets(fleet)
        return (MASKED_NOTE + "\n" if hidden != fleet else "") + write_toml(hidden, models, secrets=True)
    return "\n".join(
        [
            *(_table("line", _line(one)) for one in fleet.lines.values()),
            *(_table("point", _point(one)) for one in fleet.points.values()),
            *(_table("meter", _meter(one, models)) for one in fleet.meters.values()),
            *(_table("installation", _installation(one, fleet)) for one in fleet.installations),
            *(_table("contract", _contract(one, fleet)) for one in fleet.contracts),
        ]
    )


def _without_secrets(fleet: Fleet) -> Fleet:
    """Most meters have no options: they stay what they are."""
    lines = {name: replace(line, options=masked(line.options)) for name, line in fleet.lines.items()}
    meters = {
        serial: replace(one, meter=replace(one.meter, options=masked(one.meter.options))) if one.meter.options else one
        for serial, one in fleet.meters.items()
    }
    return replace(fleet, lines=lines, meters=meters)


def _table(name: str, fields: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"[[{name}]]", *(f"{key} = {value}" for key, value in fields), ""])


def _line(line: Line) -> Iterator[tuple[str, str]]:
    yield from (("name", _value(line.name)), ("kind", _value(line.kind)), ("address", _value(line.address)))
    if line.options:
        yield "options", _value(line.options)


def _point(point: MeteringPoint) -> Iterator[tuple[str, str]]:
    yield "code", _value(point.code)
    for field in ("name", "address"):
        if text := getattr(point, field):
            yield field, _value(text)
    yield "zone", _value(point.zone)
    if point.category != _PLAIN.category:
        yield "category", _value(point.category)
    if point.official_code is not None:
        yield "official_code", _value(point.official_code)


def _meter(known: FleetMeter, models: Models) -> Iterator[tuple[str, str]]:
    meter = known.meter
    yield from (("serial", _value(meter.serial)), ("model", _value(meter.model)))
    for field in ("line", "address", "gateway"):
        if (text := getattr(meter, field)) is not None:
            yield field, _value(text)
    if meter.period != timedelta(minutes=30):
        yield "period", _value(show_period(meter.period))
    if meter.verified_until is not None:
        yield "verified_until", meter.verified_until.isoformat()
    if meter.options:
        yield "options", _value(meter.options)
    usual = {spec.channel: spec for spec in models.get(meter.model, ())}
    own = [spec for channel, spec in known.registers.items() if usual.get(channel) != spec]
    if own:
        yield "registers", "[\n" + "".join(f"    {_register(spec)},\n" for spec in own) + "]"


def _register(spec: RegisterSpec) -> str:
    fields: dict[str, object] = {"channel": spec.channel, "digits": spec.digits, "decimals": spec.decimals}
    if spec.max_rate is not None:
        fields["max_rate"] = show_number(spec.max_rate)
    return _value({name: value for name, value in fields.items() if value is not None})


def _installation(one: Installation, fleet: Fleet) -> Iterator[tuple[str, str]]:
    zone = ZoneInfo(fleet.points[one.point].zone)
    yield from (("point", _value(one.point)), ("meter", _value(one.meter)), ("since", _instant(one.since, zone)))
    if one.until is not None:
        yield "until", _instant(one.until, zone)
    for name, ratio in (("ct", one.ct), ("vt", one.vt)):
        if ratio != 1:
            yield name, _value(show_number(ratio))
    for name, values in (("opening", one.opening), ("closing", one.closing)):
        if values:
            yield name, _value({channel: show_number(value) for channel, value in values.items()})


def _contract(one: Contract, fleet: Fleet) -> Iterator[tuple[str, str]]:
    zone = ZoneInfo(fleet.points[one.point].zone)
    yield from (
        ("consumer", _value(one.consumer)),
        ("point", _value(one.point)),
        ("since", _instant(one.since, zone)),
    )
    if one.until is not None:
        yield "until", _instant(one.until, zone)


def _instant(instant: datetime, zone: ZoneInfo) -> str:
    """A date where it is 00:00 in the zone, else with the zone's offset (UTC where TOML cannot write that offset)."""
    local = instant.astimezone(zone)
    midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
    if midnight.astimezone(UTC) == instant:
        return local.date().isoformat()
    offset = local.utcoffset()
    whole = offset is not None and offset % timedelta(minutes=1) == timedelta(0)
    return (local if whole else instant.astimezone(UTC)).isoformat()


def _value(value: object) -> str:
    """A TOML value on one line."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return show_number(value) if isinstance(value, Decimal) else repr(value)


def _key(key: str) -> str:
    return key if key.replace("_", "a").replace("-", "a").isalnum() and key.isascii() else _value(key)
