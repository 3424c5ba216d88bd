"""What the poller's tests stand on: a door that remembers, simulated meters, and a server that says what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from collectors.catalog import Catalog, load_catalog
from collectors.link import Answer
from ingest.delivery import Contact, Delivery, Outcome
from ingest.model import Line, Polled
from simulators.clock import Clock
from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.shape import load
from simulators.unit import Unit

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
PATIENCE = 60.0
"""Real seconds a test waits for something that must come, however busy the machine is."""
IMPATIENT = "impatient"
"""The slug of a model like eastron-sdm120, for meters that are meant to stay silent: asked so, they cost no time."""

Script = Callable[[bytes], list[bytes | float | None]]
"""A request -> what the server does: send bytes, pause for seconds, or hang up (None)."""


class Remembering:
    """A door that keeps deliveries and tells of them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._came = asyncio.Condition()
        self._telling: list[asyncio.Task[None]] = []

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        async with self._came:
            self.deliveries.append(delivery)
            self._came.notify_all()
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done.set_result(Outcome())
        return done

    def offer(self, delivery: Delivery) -> bool:
        """A door with room: it comes in at once."""
        self.deliveries.append(delivery)
        self._telling.append(asyncio.create_task(self._tell()))
        return True

    async def _tell(self) -> None:
        async with self._came:
            self._came.notify_all()

    def contacts(self, serial: str) -> list[Contact]:
        """The news of one meter, oldest first."""
        return [contact for delivery in self.deliveries for contact in delivery.contacts if contact.meter == serial]

    def polls(self, serial: str) -> list[Delivery]:
        """The deliveries that brought readings of one meter."""
        return [one for one in self.deliveries if one.readings and one.readings[0].meter == serial]

    async def until(self, holds: Callable[[Remembering], bool]) -> None:
        """Wait until what was delivered satisfies; fails the test when that does not happen."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: holds(self))


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what nobody signals; fails the test when it does not come true."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - sockets of another task tell no event
            await asyncio.sleep(0.005)


def patient_catalog(impatience: float = 0.2) -> Catalog:
    """The catalogue with all the time in the world for every answer, and the impatient model."""
    patient = {slug: replace(model, timeout=PATIENCE) for slug, model in load_catalog().items()}
    hasty = replace(patient["eastron-sdm120"], slug=IMPATIENT, timeout=impatience)
    return Catalog({**patient, IMPATIENT: hasty})


def simulated(model: str, serial: str = "11000001", at: datetime = AT) -> Unit:
    """A simulated meter whose clock stands still."""
    layout = layout_of(model)
    meter = Meter(
        serial=serial,
        shape=load("b"),
        phases=layout.phases,
        start={"1.8.0": Decimal("12345.6"), "2.8.0": Decimal("77.5")},
        shares={"2.8.0": Decimal("0.1"), "3.8.0": Decimal("0.2"), "4.8.0": Decimal("0.05")},
        resolution=layout.resolution,
        digits=layout.digits,
    )
    return Unit(meter, layout, Clock(at, factor=0))


def polled(unit: int, model: str = "eastron-sdm120", period: timedelta = HALF_HOUR) -> Polled:
    """The meter behind that unit as the fleet knows it."""
    return Polled(f"serial-{unit}", model, str(unit), period, "Europe/Moscow")


def line_to(server: ModbusServer | ScriptedServer, **options: object) -> Line:
    """The line that leads to a server; meters are not asked who they are unless the test wants it."""
    return Line("tp-101", server.kind, f"127.0.0.1:{server.port}", {"check_serial": False, **options})


class ScriptedServer:
    """Answers every request by a script; requests are kept as they came, pieces and all."""

    def __init__(self, script: Script, kind: str) -> None:
        self.script = script
        self.kind = kind
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0
        self._serving: set[asyncio.Task[None] | None] = set()

    async def finish(self) -> None:
        """Wait until the clients, which must have hung up, are gone."""
        await eventually(lambda: not self._serving)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self._serving.add(asyncio.current_task())
        try:
            while request := await reader.read(300):
                self.requests.append(request)
                for action in self.script(request):
                    if action is None or writer.is_closing():
                        return
                    if isinstance(action, bytes):
                        writer.write(action)
                        await writer.drain()
                    else:
                        await asyncio.sleep(action)
        except ConnectionError:
            return
        finally:
            self._serving.discard(asyncio.current_task())
            writer.close()


@asynccontextmanager
async def scripted(script: Script, kind: str = "modbus-tcp") -> AsyncIterator[ScriptedServer]:
    """A server on a free port of this machine."""
    server = ScriptedServer(script, kind)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()
        await server.finish()


def values(answer: Answer) -> dict[str, Decimal]:
    """The values of an answer as a plain dictionary."""
    return dict(answer.values)
