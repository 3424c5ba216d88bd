"""What a Modbus line's `kind`, `address` and `options` say, checked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from collectors.mistake import Mistake
from collectors.plan import TCP_COST, Cost, serial_cost
from collectors.port_settings import PortSettings
from collectors.toml_table import Table
from ingest.errors import Misconfigured
from ingest.model import Line


class LineKind(StrEnum):
    """The ways Modbus travels."""

    TCP = "modbus-tcp"
    RTU_OVER_TCP = "rtu-over-tcp"
    """Through a transparent converter: RTU frames in a TCP connection, which is not Modbus TCP."""
    RTU = "modbus-rtu"
    ASCII = "modbus-ascii"
    SERIAL = "serial"
    """A port of this machine, whatever the meters on it speak; Modbus meters on it speak RTU."""
    SERIAL_OVER_TCP = "serial-over-tcp"
    """The same through a transparent converter."""
    RFC2217 = "rfc2217"
    """The same through a converter that is told speed and parity over the network."""

    @property
    def is_serial(self) -> bool:
        """A port of this machine."""
        return self in (LineKind.RTU, LineKind.ASCII, LineKind.SERIAL)

    @property
    def is_tcp(self) -> bool:
        return not self.is_serial


MODBUS_KINDS = tuple(kind.value for kind in LineKind)
MODBUS_ONLY = (LineKind.TCP, LineKind.ASCII)
"""Lines on which nothing but Modbus can be spoken."""
SESSION_OPTIONS = frozenset(("password", "level", "clock_zone"))
"""Options of a line that `meter_options.py` reads: they hold for every meter on it that has none of its own."""
_COM = re.compile(r"COM\d+", re.IGNORECASE | re.ASCII)
_HOST_PORT = re.compile(r"\S+:\d{1,5}", re.ASCII)
_BAUDS = (300, 600, 1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 76800, 115200, 230400)


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A line's settings; times are seconds, None means "as the meter's model says".

    `late` is how long after a timeout a meter's answer may still come: so long it is not asked again. `quiet` is the
    silence waited for after a failure before the line is used again. `check_serial`: ask meters who they are.
    """

    kind: LineKind
    host: str
    port: int
    baud: int
    parity: str
    data_bits: int
    stop_bits: int
    timeout: float | None
    pause: float | None
    connect_timeout: float
    connect_pause: float
    late: float
    quiet: float
    max_registers: int
    check_serial: bool

    @property
    def character(self) -> float:
        """Seconds a character takes on the wire; nothing that matters on Modbus TCP."""
        if self.kind is LineKind.TCP:
            return 0.0
        return (1 + self.data_bits + (self.parity != "N") + self.stop_bits) / self.baud

    @property
    def where(self) -> str:
        """The address as a person reads it."""
        return f"{self.host}:{self.port}" if self.kind.is_tcp else self.host

    @property
    def serial_port(self) -> PortSettings:
        return PortSettings(self.host, self.baud, self.data_bits, self.parity, self.stop_bits)

    @property
    def cost(self) -> Cost:
        if self.kind is LineKind.TCP:
            return TCP_COST
        return serial_cost(self.baud, bits=round(self.character * self.baud))

    def frame_time(self, data_bytes: int) -> float:
        """Seconds a question and its answer spend on the wire."""
        return (13 + data_bytes) * self.character * (2 if self.kind is LineKind.ASCII else 1)

    def frame_pause(self, wanted: float) -> float:
        """Silence before the next frame: at least 3.5 characters on a wire, 1.75 ms above 19 200 baud."""
        asked = wanted if self.pause is None else self.pause
        if self.kind in (LineKind.TCP, LineKind.ASCII):
            return asked
        return max(asked, 3.5 * self.character if self.baud <= 19200 else 0.001_75)


def settings_of(line: Line) -> LineSettings:
    """Check a line. Misconfigured names every wrong option with its remedy."""
    mistakes: list[Mistake] = []
    options = {name: value for name, value in line.options.items() if name not in SESSION_OPTIONS}
    table = Table(f"line {line.name!r}", "", "", 0, {**options, "kind": line.kind}, mistakes)
    kind = LineKind(table.choice("kind", MODBUS_KINDS, LineKind.TCP.value))
    host, port = (_device(table, line.address), 0) if kind.is_serial else _host_and_port(table, line.address)
    if not line.address.strip():
        table.mistake("address", line.address, "write host:port, or the serial port's device")
    settings = LineSettings(
        kind=kind,
        host=host,
        port=port,
        baud=table.choice("baud", _BAUDS, 9600),
        parity=table.choice("parity", ("N", "E", "O"), "E" if kind is LineKind.ASCII else "N"),
        data_bits=table.choice("data_bits", (7, 8), 7 if kind is LineKind.ASCII else 8),
        stop_bits=table.choice("stop_bits", (1, 2), 1),
        timeout=table.seconds_or_none("timeout", 0.02, 60.0),
        pause=table.seconds_or_none("pause", 0.0, 10.0),
        connect_timeout=table.seconds("connect_timeout", 0.1, 60.0, 3.0),
        connect_pause=table.seconds("connect_pause", 0.0, 60.0, 0.0 if kind is LineKind.TCP else 0.1),
        late=table.seconds("late", 0.0, 300.0, 0.0 if kind is LineKind.TCP else 3.0),
        quiet=table.seconds("quiet", 0.0, 10.0, 0.05),
        max_registers=table.whole("max_registers", 1, 125, 125),
        check_serial=table.flag("check_serial", True),
    )
    table.finish()
    if mistakes:
        raise Misconfigured("\n".join(str(mistake) for mistake in mistakes))
    return settings


def unit_of_meter(serial: str, address: str, kind: LineKind) -> int:
    """The Modbus unit id a meter's bus address states."""
    least, most = (0, 255) if kind is LineKind.TCP else (1, 247)
    if address.isascii() and address.isdecimal() and least <= int(address) <= most:
        return int(address)
    raise Misconfigured(f"meter {serial}: address {address!r} is no Modbus unit; write a number from {least} to {most}")


def is_device(address: str) -> bool:
    """Whether this is a port of this machine rather than a host."""
    return address.startswith("/") or _COM.fullmatch(address) is not None


def _device(table: Table, address: str) -> str:
    if not address.startswith("/") and _HOST_PORT.fullmatch(address):
        table.mistake(
            "address", address, "write the serial port's device, or the kind rtu-over-tcp for a converter at host:port"
        )
    return address


def _host_and_port(table: Table, address: str) -> tuple[str, int]:
    if is_device(address):
        table.mistake("address", address, "write host:port, or the kind modbus-rtu or serial for a port's device")
        return "", 502
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = address, "502"
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        table.mistake("address", address, "write host:port, like 10.0.0.7:502 or [fd00::7]:502")
        return "", 502
    return host, int(port)
