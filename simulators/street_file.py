"""A street described as TOML, read strictly: an unknown key or a bad value is named with its remedy. Pure.

Instants are TOML date-times with an offset, or strings like "+2h30m": that long after the simulation's start.
"""

import tomllib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from simulators.events import Event
from simulators.faults import Fault
from simulators.layout import Layout
from simulators.layouts import layout_of
from simulators.meter import EPOCH, Meter
from simulators.scenario import event_of, fault_of
from simulators.serial_models import SERIAL_MODELS, SerialModel, address_of
from simulators.shape import load
from simulators.table import StreetFileError, Table

PTY_KINDS = ("pty", "pty-ascii")
LINE_KINDS = ("modbus-tcp", "rtu-over-tcp", "serial-over-tcp", *PTY_KINDS)


_SPOKEN = {"modbus-tcp": "Modbus TCP", "pty-ascii": "Modbus ASCII"}


@dataclass(frozen=True, slots=True)
class LineSpec:
    """A wire that meters hang on. `link` is a path of one's own that leads to a pseudo-terminal."""

    name: str
    kind: str
    host: str
    port: int
    baud: int
    link: str | None = None


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """A meter and where it hangs: `line` with a Modbus `unit` or an `address` of its own protocol, or `gateway`.

    `password` is what it lets in with, None: its maker's own.
    """

    meter: Meter
    model: str | None
    line: str | None
    unit: int | None
    gateway: str | None
    faults: tuple[Fault, ...]
    address: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def bus_address(self) -> str | None:
        """How it is asked on its line."""
        return self.address if self.unit is None else str(self.unit)


@dataclass(frozen=True, slots=True)
class StreetSpec:
    """All of the file."""

    lines: tuple[LineSpec, ...]
    meters: tuple[MeterSpec, ...]


def parse_street(text: str, start: datetime) -> StreetSpec:
    """The street of a TOML text, scenario times counted from `start`. Raises `StreetFileError`."""
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise StreetFileError(f"the file is no TOML: {error}") from error
    table = Table(raw, "the file")
    lines = tuple(_line(part) for part in table.tables("line"))
    meters = tuple(_meter(part, start) for part in table.tables("meter"))
    table.done()
    _check_names(lines, meters)
    return StreetSpec(lines, meters)


def _line(table: Table) -> LineSpec:
    name = table.text("name")
    table.where = f"line {name}"
    line = LineSpec(
        name,
        table.choice("kind", LINE_KINDS),
        table.text("host", "127.0.0.1"),
        table.number("port", 0, 0, 65535),
        table.number("baud", 9600, 300, 921_600),
        table.text("link", "") or None,
    )
    if line.link is not None and line.kind not in PTY_KINDS:
        raise StreetFileError(f"{table.where}: link is for a pseudo-terminal; leave it out, or give the kind pty")
    table.done()
    return line


def _meter(table: Table, start: datetime) -> MeterSpec:
    serial = table.text("serial")
    table.where = f"meter {serial}"
    model = table.text("model", "") or None
    line, gateway = table.text("line", "") or None, table.text("gateway", "") or None
    if (line is None) == (gateway is None):
        raise StreetFileError(f"{table.where}: give either line and unit, or gateway")
    if line is not None and model is None:
        raise StreetFileError(f"{table.where}: a meter on a line needs its model")
    unit = address = password = None
    if serial_model := SERIAL_MODELS.get(model or ""):
        address, password = _address(table, serial, serial_model, line)
    elif line is not None:
        unit = table.number("unit", None, 1, 247)
    events = tuple(event_of(part, start) for part in table.tables("event"))
    faults = tuple(fault_of(part, start) for part in table.tables("fault"))
    if faults and line is None:
        raise StreetFileError(f"{table.where}: faults of the wire need a line; a gateway's meter has events only")
    meter = _built(table, serial, model, events, start)
    table.done()
    return MeterSpec(meter, model, line, unit, gateway, faults, address, password)


def _address(table: Table, serial: str, model: SerialModel, line: str | None) -> tuple[str, str | None]:
    """The address, which is the serial number where a protocol has it so, and the password."""
    if line is None:
        raise StreetFileError(f"{table.where}: this model hangs on a line; give line, not gateway")
    text = table.text("address", None if model.addressed == "one byte" else serial)
    address = table.checked("address", lambda: address_of(model, text, serial))
    password = table.text("password", "") or None
    if password is not None and not (password.isascii() and password.isalnum() and 1 <= len(password) <= 32):
        raise StreetFileError(f"{table.where}: password must be letters and digits")
    if password is not None and model.addressed == "one byte" and len(password) != 6:
        raise StreetFileError(f"{table.where}: the password of a Меркурий has six characters")
    return address, password


def _built(table: Table, serial: str, model: str | None, events: tuple[Event, ...], start: datetime) -> Meter:
    layout = table.checked("model", lambda: _model_of(model)) if model else None
    shape = table.text("shape", "a")
    facts: dict[str, Any] = {
        "shape": table.checked("shape", lambda: load(shape)),
        "scale": table.decimal("scale", Decimal(1)),
        "phases": layout.phases if layout else table.number("phases", 1, 1, 3),
        "start": table.decimals("start", "1.8.0"),
        "since": table.moment("since", start, EPOCH),
        "shares": table.decimals("shares", None),
        "zones": table.flag("zones", False),
        "digits": table.number("digits", layout.digits if layout else 6, 1, 12),
        "resolution": layout.resolution if layout else table.decimal("resolution", Decimal("0.001")),
        "offset": timedelta(hours=table.number("utc_offset", 4, -12, 14)),
        "events": events,
    }
    return table.checked("values", lambda: Meter(serial=serial, **facts))


def _model_of(model: str) -> Layout | SerialModel:
    """What is known of a model's register, whatever it speaks."""
    if model in SERIAL_MODELS:
        return SERIAL_MODELS[model]
    try:
        return layout_of(model)
    except ValueError as error:
        raise ValueError(f"{error}, {', '.join(sorted(SERIAL_MODELS))}") from error


def _check_names(lines: tuple[LineSpec, ...], meters: tuple[MeterSpec, ...]) -> None:
    _unique("line name", [line.name for line in lines])
    _unique("serial", [spec.meter.serial for spec in meters])
    _unique("line and unit", [f"{spec.line} {spec.bus_address}" for spec in meters if spec.line is not None])
    known = {line.name: line for line in lines}
    for spec in meters:
        if spec.line is not None and spec.line not in known:
            raise StreetFileError(
                f"meter {spec.meter.serial}: line {spec.line!r} is not described; lines are: {', '.join(sorted(known))}"
            )
        if spec.address is not None and known[spec.line or ""].kind in ("modbus-tcp", "pty-ascii"):
            raise StreetFileError(
                f"meter {spec.meter.serial}: {spec.model} does not speak {_SPOKEN[known[spec.line or ''].kind]}; "
                "give its line the kind serial-over-tcp or pty"
            )


def _unique(what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise StreetFileError(f"{what} {value!r} is given twice; each must be unique")
        seen.add(value)
