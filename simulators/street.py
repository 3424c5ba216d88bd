"""A street of simulated meters running: servers, serial lines and gateways, as its TOML file describes.

street = Street.read(Path("street.toml"))
async with street.start(Clock(), mqtt_url="mqtt://127.0.0.1:1883") as running:
    running.addresses()   # line name -> "127.0.0.1:15021" or "/dev/pts/3"
"""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Self

from simulators.ascii_framing import AsciiStation
from simulators.clock import Clock
from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.mqtt import Gateway, Publisher
from simulators.serial_line import SerialLine
from simulators.serial_models import SERIAL_MODELS, Device, Hanging, device_of
from simulators.street_file import PTY_KINDS, LineSpec, MeterSpec, StreetSpec, parse_street
from simulators.table import StreetFileError
from simulators.unit import Unit

_log = logging.getLogger(__name__)
_EVERY = timedelta(seconds=30)
_PORT = re.compile(r"^port = (\d+)$", re.MULTILINE)


def free_port(wanted: int) -> int:
    """The wanted port of this machine if nobody listens there, else another one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return wanted


@dataclass(slots=True)
class RunningStreet:
    """What runs: the truth by serial number, the units and devices whose faults can be switched, wires and gateways."""

    clock: Clock
    spec: StreetSpec
    meters: dict[str, Meter] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    lines: dict[str, ModbusServer | SerialLine] = field(default_factory=dict)
    gateways: dict[str, Gateway] = field(default_factory=dict)

    def addresses(self) -> dict[str, str]:
        """Where each line is found: host:port, or the path of its pseudo-terminal."""
        return {
            name: line.path if isinstance(line, SerialLine) else f"{line.host}:{line.port}"
            for name, line in self.lines.items()
        }


StreetFactory = Callable[..., Awaitable[RunningStreet]]


class Street:
    """A street that can be started."""

    def __init__(self, text: str) -> None:
        self._text = text
        parse_street(text, datetime.now(UTC))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The street of a TOML file; mistakes in it raise `StreetFileError` at once."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StreetFileError(
                f"street file {path} cannot be read: {error}; give the path of a TOML file"
            ) from error
        return cls(text)

    @classmethod
    def shipped(cls) -> Self:
        """The street of the demo: 12 Modbus meters on 3 lines, 8 meters behind 2 gateways; taken ports exchanged."""
        text = (files("simulators") / "street.toml").read_text(encoding="utf-8")
        return cls(_PORT.sub(lambda port: f"port = {free_port(int(port[1]))}", text))

    def describe(self, start: datetime | None = None) -> StreetSpec:
        """The parsed file, scenario times counted from `start`."""
        return parse_street(self._text, start or datetime.now(UTC))

    @asynccontextmanager
    async def start(
        self, clock: Clock, *, mqtt_url: str | None = None, every: timedelta = _EVERY
    ) -> AsyncIterator[RunningStreet]:
        """Run all of it; without `mqtt_url` the gateways publish nothing."""
        spec = self.describe(clock.start)
        running = RunningStreet(clock, spec, {one.meter.serial: one.meter for one in spec.meters})
        async with AsyncExitStack() as stack:
            for line in spec.lines:
                await _start_line(stack, running, line, [one for one in spec.meters if one.line == line.name])
            if mqtt_url is not None:
                await _start_gateways(stack, running, spec, mqtt_url, every)
            yield running


async def _start_line(stack: AsyncExitStack, running: RunningStreet, line: LineSpec, hanging: list[MeterSpec]) -> None:
    on_wire = Hanging()
    for one in hanging:
        _hang_up(running, on_wire, one)
    station = on_wire.station(line.baud)
    if line.kind in PTY_KINDS:
        end = AsciiStation(on_wire.units) if line.kind == "pty-ascii" else station()
        serial = SerialLine(end, baud=line.baud, link=line.link)
        try:
            running.lines[line.name] = await stack.enter_async_context(serial)
        except OSError as error:
            raise StreetFileError(
                f"line {line.name}: link {line.link} cannot be made ({error.strerror}); give a path that is free"
            ) from error
        return
    if line.kind == "modbus-tcp":
        server = ModbusServer(on_wire.units, host=line.host, port=line.port)
    else:
        server = ModbusServer(on_wire.units, kind="rtu-over-tcp", host=line.host, port=line.port, station=station)
    try:
        running.lines[line.name] = await stack.enter_async_context(server)
    except OSError as error:
        raise StreetFileError(
            f"line {line.name}: {line.host}:{line.port} cannot be listened on ({error.strerror}); "
            "stop what holds it, or give port = 0 for a free one"
        ) from error


def _hang_up(running: RunningStreet, on_wire: Hanging, one: MeterSpec) -> None:
    assert one.model is not None
    if one.unit is not None:
        unit = Unit(one.meter, layout_of(one.model), running.clock, one.faults)
        on_wire.units[one.unit] = running.units[one.meter.serial] = unit
        return
    assert one.address is not None
    device = device_of(
        SERIAL_MODELS[one.model], one.meter, running.clock, one.faults, one.address, one.password
    )  # fmt: skip
    running.devices[one.meter.serial] = device
    on_wire.add(device, one.address)


async def _start_gateways(
    stack: AsyncExitStack, running: RunningStreet, spec: StreetSpec, url: str, every: timedelta
) -> None:
    for name in sorted({one.gateway for one in spec.meters if one.gateway is not None}):
        publisher = await stack.enter_async_context(Publisher(url, client_id=f"simulator-{name}"))
        meters = [one.meter for one in spec.meters if one.gateway == name]
        gateway = Gateway(name, meters, running.clock, publisher, every)
        running.gateways[name] = gateway
        task = asyncio.create_task(gateway.run(), name=f"gateway {name}")
        task.add_done_callback(_report)
        stack.push_async_callback(_end, task)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("%s stopped publishing", task.get_name(), exc_info=error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
