"""Modbus simulators to hold in a hand: units on one wire, their truth and their faults. What the fixtures start."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from simulators.ascii_framing import AsciiStation
from simulators.clock import Clock
from simulators.events import Event, Jump
from simulators.framing import RtuStation
from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.models import meter_of
from simulators.serial_line import SerialLine
from simulators.unit import Unit

START = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Simulator:
    """Units on one wire. `clock` stands still unless the factory was told otherwise; `clock.move` sets it."""

    units: dict[int, Unit]
    wire: ModbusServer | SerialLine
    clock: Clock

    @property
    def host(self) -> str:
        """Where to connect, for the TCP kinds."""
        assert isinstance(self.wire, ModbusServer), "a pty has a path, not a host"
        return self.wire.host

    @property
    def port(self) -> int:
        """The TCP port."""
        assert isinstance(self.wire, ModbusServer), "a pty has a path, not a port"
        return self.wire.port

    @property
    def path(self) -> str:
        """The serial port to open, for kind "pty"."""
        assert isinstance(self.wire, SerialLine), "only a pty has a path"
        return self.wire.path

    def unit(self, unit_id: int) -> Unit:
        """A unit, to switch its faults by `break_with` and `mend`."""
        return self.units[unit_id]

    def happen(self, unit_id: int, *events: Event) -> None:
        """Let something happen to a meter itself: Restart, Exchange, Jump, Drift … of `simulators.events`."""
        unit = self.units[unit_id]
        unit.happen(*events)

    def roll_over(self, unit_id: int, channel: str = "1.8.0", left: Decimal = Decimal("0.01")) -> None:
        """Put a counter so near to its end (`left` kWh before it) that the next bit of load rolls it over."""
        meter, now = self.units[unit_id].meter, self.clock.now()
        shown = meter.values(now.replace(microsecond=0))[channel]
        self.happen(unit_id, Jump(now.replace(microsecond=0), Decimal(10) ** meter.digits - left - shown, channel))

    def truth(self, unit_id: int) -> dict[str, Decimal]:
        """What that meter's registers stand at now, by OBIS channel."""
        return self.units[unit_id].meter.values(self.clock.now().replace(microsecond=0))


SimulatorFactory = Callable[..., Awaitable[Simulator]]


def simulator_of(
    meters: Mapping[int, str | tuple[Meter, str]],
    *,
    kind: str = "modbus-tcp",
    clock: Clock | None = None,
    baud: int = 9600,
    port: int = 0,
) -> Simulator:
    """A simulator of {unit id: model slug, or a meter and its model}; its `wire` is not started yet."""
    clock = clock or Clock(START, factor=0)
    units = {unit_id: _unit(unit_id, what, clock) for unit_id, what in meters.items()}
    if kind in ("pty", "pty-ascii"):
        station = RtuStation(units) if kind == "pty" else AsciiStation(units)
        return Simulator(units, SerialLine(station, baud=baud), clock)
    return Simulator(units, ModbusServer(units, kind=kind, port=port), clock)


def _unit(unit_id: int, what: str | tuple[Meter, str], clock: Clock) -> Unit:
    if isinstance(what, tuple):
        meter, model = what
        return Unit(meter, layout_of(model), clock)
    return Unit(meter_of(what, f"{11_000_000 + unit_id}"), layout_of(what), clock)
