"""A street with every fault switched on: `amr status` names the part of the road that is at fault, not its victims."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from pydantic import SecretStr
from rich.console import Console

import amr
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.faults import Kind
from simulators.modbus import ModbusServer
from simulators.mosquitto import Mosquitto
from simulators.street import RunningStreet, Street
from simulators.street_fleet import street_text
from storage import fleet
from storage.cli_status import page
from storage.database import Database
from storage.health import Health, look
from storage.processes import report
from storage.readings import PostgresStore

LINES = {"tp-1": ("11000001", "11000002", "11000003"), "tp-2": ("12000001", "12000002"), "tp-3": ("13000001",)}
GATEWAYS = {"gw-1": ("21000001", "21000002"), "gw-2": ("22000001", "22000002")}
STREET = "".join(
    [
        *(f'[[line]]\nname = "{line}"\nkind = "modbus-tcp"\nport = 0\n' for line in LINES),
        *(
            f'[[meter]]\nserial = "{serial}"\nmodel = "eastron-sdm630"\nline = "{line}"\nunit = {unit}\nstart = "9.5"\n'
            for line, serials in LINES.items()
            for unit, serial in enumerate(serials, 1)
        ),
        *(
            f'[[meter]]\nserial = "{serial}"\ngateway = "{gateway}"\nstart = "7.5"\n'
            for gateway, serials in GATEWAYS.items()
            for serial in serials
        ),
    ]
)
PATIENCE = 60.0
PUSHED = tuple(sorted(serial for serials in GATEWAYS.values() for serial in serials))
POLLED = tuple(sorted(serial for serials in LINES.values() for serial in serials))


@dataclass
class House:
    """A street, its broker, and the collector that serves it."""

    street: RunningStreet
    broker: Mosquitto
    database: Database
    collector: asyncio.Task[None]

    async def health(self) -> Health:
        async with self.database.connection() as conn:
            return await look(conn, datetime.now(UTC))

    async def faults(self) -> set[tuple[str, str, str, tuple[str, ...]]]:
        return {(one.level.value, one.place, one.cause, one.meters) for one in (await self.health()).faults}

    async def until_faults(self, wanted: set[tuple[str, str, str, tuple[str, ...]]], *quiet: str) -> None:
        """The faults are these and no others, once the quiet meters were last heard long ago; a failure shows them."""
        found: set[tuple[str, str, str, tuple[str, ...]]] = set()

        async def as_wanted() -> bool:
            nonlocal found
            await self.long_ago(quiet)  # each time: what was on its way came in after the last
            found = await self.faults()
            return found == wanted

        with contextlib.suppress(TimeoutError):
            await until(as_wanted)
        assert found == wanted

    async def long_ago(self, serials: Sequence[str]) -> None:
        """As if what came of these meters, and every attempt at them, lay an hour back."""
        async with self.database.connection() as conn:
            await conn.execute(
                "UPDATE reading x SET received_at = received_at - interval '1 hour' FROM register r"
                " JOIN meter m ON m.id = r.meter_id WHERE r.id = x.register_id AND m.serial = ANY(%s)",
                (list(serials),),
            )
            await conn.execute(
                "UPDATE last_contact c SET tried_at = tried_at - interval '1 hour' FROM meter m"
                " WHERE m.id = c.meter_id AND m.serial = ANY(%s)",
                (list(serials),),
            )


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - it looks into a database
            await asyncio.sleep(0.1)


@pytest.fixture
async def house(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Everything answers, and was heard."""
    monkeypatch.setattr(amr, "report", partial(report, every=0.2))
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto())
        every = timedelta(seconds=1)
        street = await stack.enter_async_context(Street(STREET).start(Clock(), mqtt_url=broker.url, every=every))
        settings = amr.Settings(mqtt_url=SecretStr(broker.url), mqtt_client_id="status", mqtt_try_out=False)
        text = street_text(street.spec, datetime.now(UTC), period="1s", addresses=street.addresses())
        text = text.replace('kind = "modbus-tcp"\n', 'kind = "modbus-tcp"\noptions = {timeout = 0.3}\n')
        async with database.connection() as conn:
            await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
        intake = Intake(PostgresStore(database))
        storing = asyncio.create_task(intake.run())
        stack.push_async_callback(_end, storing)
        collector = asyncio.create_task(amr.collecting(settings, database, intake))
        stack.push_async_callback(_end, collector)
        house = House(street, broker, database, collector)
        await house.until_faults(set())
        yield house


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def gone(street: RunningStreet, gateway: str, *serials: str) -> None:
    """The gateway says nothing of these meters any more."""
    left = [meter for meter in street.gateways[gateway].meters if meter.serial not in serials]
    street.gateways[gateway].meters = tuple(left)


async def test_every_fault_of_a_street_is_named_where_it_is(house: House) -> None:
    street = house.street
    for serial in ("11000003", *LINES["tp-2"]):
        street.units[serial].break_with(Kind.DEAD)
    server = street.lines["tp-3"]
    assert isinstance(server, ModbusServer)
    await server.stop()
    gone(street, "gw-1", "21000002")
    gone(street, "gw-2", *GATEWAYS["gw-2"])
    of_lines = {
        ("line", "tp-3", "line_down", LINES["tp-3"]),
        ("line", "tp-2", "nobody_answers", LINES["tp-2"]),
        ("meter", "11000003", "timeout", ("11000003",)),
    }
    await house.until_faults(
        of_lines
        | {
            ("gateway", "gw-2", "gateway_silent", GATEWAYS["gw-2"]),
            ("meter", "21000002", "overdue", ("21000002",)),
        },
        "21000002",
        *GATEWAYS["gw-2"],
    )
    shown = Console(file=io.StringIO(), width=200, record=True)
    shown.print(page(await house.health()))
    text = shown.export_text()
    for said in (
        "10 meters heard by themselves, 7 silent",
        "the port opens and no meter answers",
        "its gateway brings",
    ):
        assert said in text

    await house.broker.kill()
    broker = f"{house.broker.host}:{house.broker.port}"
    await house.until_faults(of_lines | {("broker", broker, "broker_lost", PUSHED)}, *PUSHED)

    await _end(house.collector)
    await house.until_faults(
        {("us", "collector", "no_collector", POLLED), ("us", "subscriber", "nobody_listens", PUSHED)},
        *POLLED,
    )
