"""The paper that belongs to a street: its fleet file as an engineer would write it, and a household's recorded past.

Only text leaves here: a TOML file for `amr fleet apply` and CSV lines for `amr import`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from simulators.shape import Shape
from simulators.street_file import StreetSpec

HISTORY_METER, HISTORY_POINT = "33000001", "MP-1000"
"""A meter that is read by nobody any more, and the point whose whole past was imported."""

_WEEK = timedelta(days=7)
_HOUR = timedelta(hours=1)


def fleet_text(spec: StreetSpec, now: datetime, *, period: str = "30m", consumer: str = "demo") -> str:
    """A fleet file for the street: a point for each meter, the point of the recorded past, and a consumer's contracts.

    The consumer sees the first polled point, the first pushed one and the one with the past.
    """
    tables = [_table("line", name=line.name, kind=line.kind, address=f"{line.host}:{line.port}") for line in spec.lines]
    pushed = next((n for n, one in enumerate(spec.meters, 1) if one.gateway), 1)
    for number, one in enumerate(spec.meters, 1):
        reached = {"gateway": one.gateway} if one.line is None else {"line": one.line, "address": one.unit}
        channels = () if one.model else one.meter.values(now)
        tables.append(_meter(one.meter.serial, one.model, channels, period=period, **reached))
        tables += _placed(f"MP-{number:04}", f"ул. Ленина, 1, кв. {number}", one.meter.serial)
    tables.append(_meter(HISTORY_METER, None, ("1.8.0",)))
    tables += _placed(HISTORY_POINT, "ул. Ленина, 2", HISTORY_METER)
    for point in ("MP-0001", f"MP-{pushed:04}", HISTORY_POINT):
        tables.append(_table("contract", consumer=consumer, point=point) + "since = 2015-01-01\n")
    return "\n".join(tables)


def history_lines(shape: Shape, now: datetime) -> Iterator[str]:
    """CSV lines of the whole recording as hourly readings, shifted by whole weeks to end within the last one."""
    shift = (now - shape.start - len(shape.hours) * _HOUR) // _WEEK * _WEEK
    yield "meter,channel,taken_at,value\n"
    for hour, total in enumerate(shape.totals):
        at = shape.start + shift + hour * _HOUR
        yield f"{HISTORY_METER},1.8.0,{at.isoformat()},{Decimal(total) / 1000}\n"


def _meter(serial: str, model: str | None, channels: Iterable[str], **facts: object) -> str:
    rows = ", ".join(f'{{channel = "{channel}", digits = 6, decimals = 3, max_rate = "60"}}' for channel in channels)
    table = _table("meter", serial=serial, model=model or "simulated", **facts)
    return f"{table}registers = [{rows}]\n" if rows else table


def _placed(point: str, address: str, serial: str) -> tuple[str, str]:
    return (
        _table("point", code=point, name=address, address=address, zone="Europe/Moscow"),
        _table("installation", point=point, meter=serial) + "since = 2015-01-01\n",
    )


def _table(table: str, /, **fields: object) -> str:
    return f"[[{table}]]\n" + "".join(f'{key} = "{value}"\n' for key, value in fields.items() if value is not None)
