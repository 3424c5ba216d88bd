"""Thirty days without a collector, healed out of the meters' memories on the whole road: wire, door, database, API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

import amr
from api.app import create_app
from api.cli import serving
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import Quality, Reading
from simulators.clock import Clock
from simulators.iec_meters import IecMeter
from simulators.memory import at_midnight
from simulators.mercury206 import Mercury206
from simulators.meter import Meter
from storage import fleet, tokens
from storage.database import Database
from storage.gaps import Missing, missing
from storage.readings import PostgresStore
from tests.collectors.modbus_rig import PATIENCE
from tests.collectors.serial_rig import IEC_MODELS, QUICK, Rig, meter

HALF = timedelta(minutes=30)
DAY = timedelta(days=1)
SECRET = "864209"
METERS = {
    "47000001": ("mercury-234", "1", f'options = {{password = "{SECRET}"}}'),
    "19531250": ("mercury-206", "19531250", ""),
    "14160009": ("energomera-ce303", "9", ""),
    "11000020": ("eastron-sdm120", "20", ""),
}


def noon() -> tuple[timedelta, str]:
    """An offset, and its zone, where it is about noon now: at its midnight a meter's archives are left alone."""
    hours = 12 - datetime.now(UTC).hour
    return timedelta(hours=hours), f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"


@dataclass
class Outage:
    """Meters read until `last`, and then not for thirty days."""

    rig: Rig
    truths: dict[str, Meter]
    zone: ZoneInfo
    last: datetime
    database: Database
    get: Any

    async def stored(self, serial: str, channel: str) -> dict[datetime, tuple[Decimal, int]]:
        async with self.database.connection() as conn:
            rows = await (
                await conn.execute(
                    "SELECT taken_at, value, quality FROM reading x JOIN register r ON r.id = x.register_id"
                    " JOIN meter m ON m.id = r.meter_id WHERE m.serial = %s AND r.channel = %s",
                    (serial, channel),
                )
            ).fetchall()
        return {at: (Decimal(value).scaleb(-6), quality) for at, value, quality in rows}

    async def profile(self, serial: str, channel: str) -> dict[datetime, Decimal]:
        async with self.database.connection() as conn:
            rows = await (
                await conn.execute(
                    "SELECT start, energy FROM interval_reading x JOIN register r ON r.id = x.register_id"
                    " JOIN meter m ON m.id = r.meter_id WHERE m.serial = %s AND r.channel = %s",
                    (serial, channel),
                )
            ).fetchall()
        return {at: Decimal(energy).scaleb(-6) for at, energy in rows}

    async def missing(self, name: str | None = None) -> list[Missing]:
        async with self.database.connection() as conn:
            return await missing(conn, name)

    @property
    def days(self) -> list[date]:
        """The days whose 00:00 lies within the outage."""
        first = self.last.astimezone(self.zone).date() + DAY
        return [first + step * DAY for step in range(30)]

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)


def fleet_text(address: str, zone: str, since: datetime) -> str:
    """The line as an engineer would write it."""
    options = ", ".join(f"{name} = {value}" for name, value in (QUICK | {"baud": 115200}).items())
    parts = [f'[[line]]\nname = "tp-7"\nkind = "serial-over-tcp"\naddress = "{address}"\noptions = {{{options}}}\n']
    for serial, (model, bus, more) in METERS.items():
        parts += [
            f'[[point]]\ncode = "P-{serial}"\nzone = "{zone}"\n',
            f'[[meter]]\nserial = "{serial}"\nmodel = "{model}"\nline = "tp-7"\naddress = "{bus}"\n{more}\n',
            f'[[installation]]\npoint = "P-{serial}"\nmeter = "{serial}"\nsince = {since.isoformat()}\n',
        ]
    return "\n".join(parts)


def polls(truths: dict[str, Meter], instants: Sequence[datetime]) -> list[Reading]:
    channels = ("1.8.0", "1.8.1", "1.8.2")
    skipped = {("19531250", "1.8.0"), ("11000020", "1.8.1"), ("11000020", "1.8.2")}
    return [
        Reading(serial, channel, at, truth.values(at)[channel])
        for at in instants
        for serial, truth in truths.items()
        for channel in channels
        if (serial, channel) not in skipped
    ]


@pytest.fixture
async def outage(database: Database) -> AsyncIterator[Outage]:
    offset, name = noon()
    now = datetime.now(UTC).replace(microsecond=0)
    last = now - 30 * DAY
    facts: dict[str, object] = {"offset": offset, "since": now - 60 * DAY}
    rig = Rig(Clock(factor=1))
    rig.mercury230(1, "47000001", facts=facts, passwords=(SECRET.encode(),))
    single = meter("19531250", phases=1, shares={}, resolution=Decimal("0.01"), **facts)
    rig.single[19531250] = Mercury206(single, rig.clock)
    ce303 = meter("14160009", resolution=Decimal("0.0001"), **facts)
    rig.iec.append(IecMeter(ce303, IEC_MODELS["energomera-ce303"], rig.clock, address="9"))
    unit = rig.modbus_unit(20)
    truths = {"47000001": rig.three[1].meter, "19531250": single, "14160009": ce303, "11000020": unit.meter}
    intake = Intake(PostgresStore(database))
    settings = amr.Settings(backfill_share=1.0)
    async with contextlib.AsyncExitStack() as stack:
        line = await stack.enter_async_context(rig.line(baud=115200))
        async with database.connection() as conn:
            text = fleet_text(line.address, name, last - DAY)
            await fleet.apply(
                conn, text, settings.models(), check_line=settings.check_line, check_meter=settings.check_meter
            )
            key = await tokens.create(conn, "staff", "engineer")
        before = [last - step * HALF for step in range(48, -1, -1)]
        await intake.accept(Delivery("test", readings=polls(truths, before)))
        tasks = [
            asyncio.create_task(intake.run()),
            asyncio.create_task(amr.collecting(settings, database, intake)),
        ]
        stack.push_async_callback(_end, tasks)
        base = await stack.enter_async_context(serving(create_app(database, intake), "127.0.0.1", 0))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"{base}/api/v1", headers={"Authorization": f"Bearer {key}"})
        )

        async def get(path: str, **query: str) -> Any:
            answer = await client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield Outage(rig, truths, ZoneInfo(name), last, database, get)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def healed(outage: Outage) -> None:
    """Until the last half-hour of the outage is stored; profiles come after all registers."""
    begin = outage.last + HALF - (outage.last - datetime(2026, 1, 1, tzinfo=UTC)) % HALF
    wanted = {begin + step * HALF for step in range(30 * 48 - 2)}
    async with asyncio.timeout(2 * PATIENCE):
        while not wanted <= set(await outage.profile("47000001", "1.8.0")):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.5)


async def test_thirty_days_are_healed_and_what_stays_missing_is_listed(outage: Outage) -> None:
    await healed(outage)
    for serial, channels in (("47000001", ("1.8.0", "1.8.1", "1.8.2", "3.8.0")), ("14160009", ("1.8.0", "1.8.2"))):
        for channel in channels:
            stored = await outage.stored(serial, channel)
            for day in outage.days:
                shown = at_midnight(outage.truths[serial], day)[channel]
                assert stored[outage.midnight(day)] == (shown, Quality.GOOD), (serial, channel, day)

    first = next(day for day in outage.days if day.day == 1)
    slices = await outage.stored("19531250", "1.8.1")
    registers = [at for at in slices if at > outage.last and at.astimezone(outage.zone).time() == datetime.min.time()]
    assert registers == [outage.midnight(first)]
    assert slices[outage.midnight(first)][0] == at_midnight(outage.truths["19531250"], first)["1.8.1"]

    profile = await outage.profile("47000001", "1.8.0")
    begin, end = outage.midnight(outage.days[0]), outage.midnight(outage.days[-1])
    step = (end - begin) // HALF
    truth = outage.truths["47000001"]
    counted = truth.values(end)["1.8.0"] - truth.values(begin)["1.8.0"]
    assert sum(profile[begin + n * HALF] for n in range(step)) == counted

    await _consumption_is_exact(outage)
    await _gaps_are_exact(outage, first)


async def _consumption_is_exact(outage: Outage) -> None:
    """Every day, by the meter's own registers as of 00:00."""
    truth, days = outage.truths["47000001"], outage.days
    said = await outage.get(
        "/points/P-47000001/consumption", **{"from": days[0].isoformat(), "to": days[-1].isoformat(), "step": "day"}
    )
    assert len(said["items"]) == 29
    for day, item in zip(days, said["items"], strict=False):
        begin, end = at_midnight(truth, day)["1.8.0"], at_midnight(truth, day + DAY)["1.8.0"]
        assert (Decimal(item["amount"]), item["quality"]) == (end - begin, "good")
        assert (Decimal(item["begin_value"]), Decimal(item["end_value"])) == (begin, end)


async def _gaps_are_exact(outage: Outage, first: date) -> None:
    async def first_poll(serial: str, channel: str) -> datetime:
        return min(
            at
            for at in await outage.stored(serial, channel)
            if at > outage.last and at.astimezone(outage.zone).time() != datetime.min.time()
        )

    expected = {
        "47000001": [],
        "19531250": [outage.last, outage.midnight(first), await first_poll("19531250", "1.8.1")],
        "14160009": [outage.last, *map(outage.midnight, outage.days), await first_poll("14160009", "1.8.0")],
        "11000020": [outage.last, await first_poll("11000020", "1.8.0")],
    }
    for serial, edges in expected.items():
        gaps = [one.gap for one in await outage.missing(f"P-{serial}") if one.gap.what == "polls"]
        assert [(gap.begin, gap.end, gap.why) for gap in gaps] == [
            (begin, end, "no_memory") for begin, end in pairwise(edges) if end - begin > 2 * HALF
        ], serial
    assert {(one.meter, one.gap.what) for one in await outage.missing()} <= {
        ("19531250", "polls"),
        ("14160009", "polls"),
        ("11000020", "polls"),
    }
