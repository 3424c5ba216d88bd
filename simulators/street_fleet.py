"""The paper that belongs to a street: its fleet file as an engineer would write it, and a household's recorded past.

Only text leaves here: a TOML file for `amr fleet apply` and CSV lines for `amr import`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from simulators.shape import Shape
from simulators.street_file import LineSpec, StreetSpec

HISTORY_METER, HISTORY_POINT = "33000001", "MP-1000"
"""A meter that is read by nobody any more, and the point whose whole past was imported."""

_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)
_MOSCOW = "Europe/Moscow"
_ZONES = {3: _MOSCOW, 4: "Europe/Samara", 5: "Asia/Yekaterinburg", 7: "Asia/Novosibirsk"}
_USUAL_BAUD = 9600


def fleet_text(spec: StreetSpec, now: datetime, *, period: str = "30m", consumer: str = "demo") -> str:
    """A fleet file for the street: a point for each meter, the point of the recorded past, and a consumer's contracts.

    The consumer sees the first polled point, the first pushed one and the one with the past.
    """
    tables = [street_text(spec, now, period=period), _meter(HISTORY_METER, None, ("1.8.0",))]
    pushed = next((n for n, one in enumerate(spec.meters, 1) if one.gateway), 1)
    tables += _placed(HISTORY_POINT, "ул. Ленина, 2", HISTORY_METER)
    for point in dict.fromkeys(("MP-0001", f"MP-{pushed:04}", HISTORY_POINT)):
        tables.append(_table("contract", consumer=consumer, point=point) + "since = 2015-01-01\n")
    return "\n".join(tables)


def street_text(
    spec: StreetSpec, now: datetime, *, period: str = "30m", addresses: Mapping[str, str] | None = None
) -> str:
    """The street alone: its lines, at the addresses where they were found, and a point for each meter."""
    tables = [_line(line, (addresses or {}).get(line.name)) for line in spec.lines]
    for number, one in enumerate(spec.meters, 1):
        reached = {"gateway": one.gateway} if one.line is None else {"line": one.line, "address": one.bus_address}
        channels = () if one.model else one.meter.values(now)
        tables.append(_meter(one.meter.serial, one.model, channels, period=period, **reached))
        if one.password is not None:
            tables[-1] += f'options = {{password = "{one.password}"}}\n'
        zone = _MOSCOW if one.address is None else zone_of(one.meter.offset)
        tables += _placed(f"MP-{number:04}", f"ул. Ленина, 1, кв. {number}", one.meter.serial, zone)
    return "\n".join(tables)


def zone_of(offset: timedelta) -> str:
    """A zone where clocks show this: archives are asked by the meter's own midnights."""
    hours = offset // _HOUR
    return _ZONES.get(hours, f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT")


def history_lines(shape: Shape, now: datetime) -> Iterator[str]:
    """CSV lines of the whole recording as hourly readings, shifted by whole weeks to end within the last one."""
    shift = (now - shape.start - len(shape.hours) * _HOUR) // _WEEK * _WEEK
    yield "meter,channel,taken_at,value\n"
    for hour, total in enumerate(shape.totals):
        at = shape.start + shift + hour * _HOUR
        yield f"{HISTORY_METER},1.8.0,{at.isoformat()},{Decimal(total) / 1000}\n"


def _line(line: LineSpec, address: str | None) -> str:
    """A line with Меркурий or IEC meters has a kind of its own, and a speed."""
    kind = {"pty": "serial", "pty-ascii": "modbus-ascii"}.get(line.kind, line.kind)
    table = _table("line", name=line.name, kind=kind, address=address or f"{line.host}:{line.port}")
    serial = kind in ("serial", "serial-over-tcp", "modbus-ascii") and line.baud != _USUAL_BAUD
    return f"{table}options = {{baud = {line.baud}}}\n" if serial else table


def _meter(serial: str, model: str | None, channels: Iterable[str], **facts: object) -> str:
    rows = ", ".join(map(_register, channels))
    table = _table("meter", serial=serial, model=model or "simulated", **facts)
    return f"{table}registers = [{rows}]\n" if rows else table


def _register(channel: str) -> str:
    """A counter (OBIS D = 8) has a display that runs over and a rate; what is measured at the moment has neither."""
    counter = ', digits = 6, max_rate = "60"' if channel.split(".")[1] == "8" else ""
    return f'{{channel = "{channel}", decimals = 3{counter}}}'


def _placed(point: str, address: str, serial: str, zone: str = _MOSCOW) -> tuple[str, str]:
    return (
        _table("point", code=point, name=address, address=address, zone=zone),
        _table("installation", point=point, meter=serial) + "since = 2015-01-01\n",
    )


def _table(table: str, /, **fields: object) -> str:
    return f"[[{table}]]\n" + "".join(f'{key} = "{value}"\n' for key, value in fields.items() if value is not None)
