"""What the tests of serial meters stand on: simulated meters of every protocol on one line, over TCP or a pty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from collectors.catalog import load_catalog
from collectors.serial_link import SerialLink
from ingest.model import Line, Polled
from simulators.clock import Clock
from simulators.framing import RtuStation, Station
from simulators.iec_meters import IecMeter, IecModel, ce102m, ce303, neva_mt3xx
from simulators.iec_station import IecStation
from simulators.mercury206 import Mercury206
from simulators.mercury230 import Mercury230
from simulators.mercury_station import MercuryStation
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.serial_line import SerialLine
from simulators.shape import load
from simulators.shared_line import SharedLine
from simulators.unit import Unit
from tests.collectors.modbus_rig import simulated

AT = datetime(2026, 11, 20, 14, 40, tzinfo=UTC)
ZONE = "Europe/Samara"
CATALOG = load_catalog()
QUICK: dict[str, object] = {"timeout": 0.15, "late": 0.3, "quiet": 0.02, "connect_pause": 0.0}
PERIOD = timedelta(minutes=30)
IEC_MODELS: Mapping[str, IecModel] = {
    "energomera-ce102m": ce102m(),
    "energomera-ce303": ce303(),
    "neva-mt3xx": neva_mt3xx(),
}


def meter(serial: str, **facts: object) -> Meter:
    """A three-phase meter with two zones in use, wall clock four hours ahead of UTC."""
    known: dict[str, object] = {
        "shape": load("b"),
        "zones": True,
        "phases": 3,
        "resolution": Decimal("0.001"),
        "start": {"1.8.0": Decimal("1000.5")},
        "shares": {"3.8.0": Decimal("0.25")},
        "since": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Meter(serial=serial, **(known | facts))  # type: ignore[arg-type]


def polled(model: str, serial: str, address: str, **options: object) -> Polled:
    """The meter as the fleet knows it."""
    return Polled(serial, model, address, PERIOD, ZONE, options)


@dataclass(slots=True)
class Rig:
    """Everything that hangs on one line. The clock stands still until it is moved."""

    clock: Clock = field(default_factory=lambda: Clock(AT, factor=0))
    three: dict[int, Mercury230] = field(default_factory=dict)
    single: dict[int, Mercury206] = field(default_factory=dict)
    iec: list[IecMeter] = field(default_factory=list)
    modbus: dict[int, Unit] = field(default_factory=dict)

    def mercury230(self, address: int = 5, serial: str = "47000999", **more: object) -> Mercury230:
        """Hang up a three-phase meter."""
        facts = more.pop("facts", {})
        assert isinstance(facts, dict)
        one = Mercury230(meter(serial, **facts), self.clock, **more)  # type: ignore[arg-type]
        self.three[address] = one
        return one

    def mercury206(self, serial: str = "19531250", **more: object) -> Mercury206:
        """Hang up a single-phase meter; its address is its serial number."""
        own = meter(serial, phases=1, shares={}, resolution=Decimal("0.01"))
        one = Mercury206(own, self.clock, **more)  # type: ignore[arg-type]
        self.single[int(serial)] = one
        return one

    def iec_meter(self, model: str = "energomera-ce102m", serial: str = "141628345", **more: object) -> IecMeter:
        """Hang up an IEC meter."""
        kind = IEC_MODELS[model]
        own = meter(serial, phases=kind.phases, resolution=kind.resolution)
        known = {"password": "00000000" if kind.bcc == "xor" else "777777"} | more
        one = IecMeter(own, kind, self.clock, **known)  # type: ignore[arg-type]
        self.iec.append(one)
        return one

    def modbus_unit(self, unit: int) -> Unit:
        """Hang up an SDM120."""
        self.modbus[unit] = simulated("eastron-sdm120", f"{11_000_000 + unit}", self.clock.now())
        return self.modbus[unit]

    def station(self, initial: int = 9600) -> Station:
        """The far end of the wire."""
        mercury = MercuryStation(self.three, self.single)
        return SharedLine([mercury, IecStation(self.iec, initial=initial), RtuStation(self.modbus)])

    @asynccontextmanager
    async def line(self, over: str = "tcp", baud: int = 9600, **options: object) -> AsyncIterator[Line]:
        """The line, running."""
        if over == "tcp":
            async with ModbusServer({}, kind="rtu-over-tcp", station=self.station) as server:
                yield Line("tp-7", "serial-over-tcp", f"127.0.0.1:{server.port}", {**QUICK, **options})
            return
        async with SerialLine(self.station(baud), baud=baud) as pty:
            yield Line("tp-7", "serial", pty.path, {**QUICK, "baud": baud, **options})

    @asynccontextmanager
    async def link(self, over: str = "tcp", baud: int = 9600, **options: object) -> AsyncIterator[SerialLink]:
        """A link to the line, open; its clock is the simulators'."""
        async with self.line(over, baud, **options) as line:
            link = SerialLink(line, CATALOG, self.clock.now)
            await link.open()
            yield link
            await link.close()


def truth(one: Mercury230 | Mercury206 | IecMeter, at: datetime = AT) -> dict[str, Decimal]:
    """What the meter shows."""
    return one.meter.values(at)


def close(values: Mapping[str, Decimal], expected: Mapping[str, Decimal], channels: Sequence[str]) -> bool:
    """Whether these channels are the same but for what the display cuts off."""
    return all(abs(values[one] - expected[one]) <= max(abs(expected[one]) / 1000, Decimal("0.01")) for one in channels)
