"""Meter after meter on Modbus TCP: whatever comes instead of the answer, each poll gets its own values or its error."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from decimal import Decimal

import pytest

from collectors.catalog import Catalog
from collectors.line import Owner
from collectors.meter_model import Kind, Model, ModelRegister
from collectors.modbus import modbus_link
from ingest.delivery import Delivery
from ingest.model import Polled
from tests.collectors.modbus_rig import (
    HALF_HOUR,
    PATIENCE,
    Remembering,
    Script,
    ScriptedServer,
    eventually,
    line_to,
    scripted,
)
from tests.collectors.running import running

REGISTERS = (
    ModelRegister("1.8.0", 0, 3, Kind.UINT32, Decimal("0.01")),
    ModelRegister("2.8.0", 2, 3, Kind.FLOAT32),
    ModelRegister("1.7.0", 4, 3, Kind.FLOAT32),
)
CATALOG = Catalog(
    {
        slug: Model(slug, "Test", "Three values in one read", "made up", 0, REGISTERS, timeout=timeout)
        for slug, timeout in (("patient", PATIENCE), ("hasty", 0.2))
    }
)


def meter(unit: int, model: str = "patient") -> Polled:
    return Polled(f"m{unit}", model, str(unit), HALF_HOUR)


def answer(request: bytes, back: float = 77.5, power: float = -230.2) -> bytes:
    """The right one to the last question of what came: the counter says which unit was asked."""
    asked = request[-12:]
    data = struct.pack(">Iff", 100 * asked[6], back, power)
    return asked[:4] + bytes((0, 3 + len(data), asked[6], asked[7], len(data))) + data


def other(request: bytes, offset: int) -> bytes:
    """An answer to a question asked so many questions ago, of another counter."""
    frame = answer(request)
    transaction = int.from_bytes(frame[:2], "big") + offset & 0xFFFF
    return transaction.to_bytes(2, "big") + frame[2:9] + struct.pack(">I", 999) + frame[13:]


def told(delivery: Delivery) -> dict[str, Decimal]:
    return {reading.channel: reading.value for reading in delivery.readings}


def good(unit: int) -> dict[str, Decimal]:
    return {"1.8.0": Decimal(unit), "2.8.0": Decimal("77.5"), "1.7.0": Decimal("-230.2")}


def owner_of(server: ScriptedServer, door: Remembering, *meters: Polled) -> Owner:
    line = line_to(server)
    owner = Owner(line, modbus_link(line, CATALOG), door)
    owner.update(meters)
    return owner


def once(trouble: Script) -> Script:
    """To the third question the trouble, to all others the answer."""
    numbers: Iterator[int] = iter(range(1, 1000))
    return lambda request: trouble(request) if next(numbers) == 3 else [answer(request)]


LATE = 0.01
UNHARMFUL: dict[str, Script] = {
    "in two pieces": lambda asked: [answer(asked)[:5], LATE, answer(asked)[5:]],
    "in pieces of one byte": lambda asked: [part for byte in answer(asked) for part in (bytes((byte,)), 0.001)],
    "after a late one": lambda asked: [other(asked, -1), LATE, answer(asked)],
    "together with a late one": lambda asked: [other(asked, -1) + answer(asked)],
    "after one of the future": lambda asked: [other(asked, 1), LATE, answer(asked)],
    "after a late one and a piece": lambda asked: [other(asked, -2) + answer(asked)[:9], LATE, answer(asked)[9:]],
    "and once more": lambda asked: [answer(asked), LATE, answer(asked), answer(asked)],
}


@pytest.mark.parametrize("trouble", UNHARMFUL.values(), ids=UNHARMFUL.keys())
async def test_every_poll_gets_its_own_values(trouble: Script) -> None:
    door, units = Remembering(), range(1, 7)
    async with scripted(once(trouble)) as server, running(owner_of(server, door, *map(meter, units))):
        await door.until(lambda door: len(door.deliveries) >= len(units))
        assert server.connections == 1
    assert {one.contacts[0].meter: told(one) for one in door.deliveries} == {f"m{unit}": good(unit) for unit in units}
    assert all(contact.failure is None for one in door.deliveries for contact in one.contacts)


FAILURES: dict[str, tuple[str, Script]] = {
    "another unit": ("malformed", lambda asked: [answer(asked)[:6] + b"\x63" + answer(asked)[7:]]),
    "another length": (
        "malformed",
        lambda asked: [answer(asked)[:5] + b"\x0b" + answer(asked)[6:8] + b"\x08" + bytes(8)],
    ),
    "another function": ("malformed", lambda asked: [answer(asked)[:7] + b"\x04" + answer(asked)[8:]]),
    "busy": ("busy", lambda asked: [asked[:5] + b"\x03" + asked[6:7] + b"\x83\x06"]),
    "silence": ("timeout", lambda asked: []),
    "a late answer only": ("timeout", lambda asked: [other(asked, -1)]),
    "half an answer": ("timeout", lambda asked: [answer(asked)[:20]]),
    "no Modbus TCP": ("line_down", lambda asked: [b"\x05\x03\x0c" + answer(asked)[9:]]),
    "hung up": ("line_down", lambda asked: [None]),
    "hung up in the middle": ("line_down", lambda asked: [answer(asked)[:20], None]),
}


@pytest.mark.parametrize(("code", "trouble"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failure_is_told_of_the_meter_asked_and_the_others_go_on(code: str, trouble: Script) -> None:
    door, units = Remembering(), range(1, 7)
    meters = [meter(unit, "hasty" if code == "timeout" else "patient") for unit in units]
    async with scripted(once(trouble)) as server, running(owner_of(server, door, *meters)):
        await door.until(lambda door: len({one.contacts[0].meter for one in door.deliveries if one.readings}) >= 5)
        [failed] = [one for one in door.deliveries if one.contacts[0].failure][:1]
        assert int.from_bytes(server.requests[2][:2]) - int.from_bytes(server.requests[1][:2]) in (1, -0xFFFF)
        asked = server.requests[2][6]
    assert (failed.contacts[0].meter, failed.contacts[0].failure) == (f"m{asked}", code)
    for one in door.deliveries:
        if one.readings:
            assert told(one) == good(int(one.contacts[0].meter[1:]))


async def test_a_short_patience_among_long_ones_is_kept() -> None:
    door = Remembering()

    def script(asked: bytes) -> list[bytes | float | None]:
        return [] if asked[6] == 2 else [answer(asked)]

    meters = [meter(1), meter(2, "hasty"), meter(3)]
    async with scripted(script) as server, running(owner_of(server, door, *meters)):
        await door.until(lambda door: bool(door.contacts("m2")) and bool(door.polls("m3")))
    assert door.contacts("m2")[0].failure == "timeout"


async def test_patience_is_kept_after_a_rest_longer_than_it() -> None:
    door = Remembering()
    silent = once(lambda _: [])
    async with (
        scripted(silent) as server,
        running(owner_of(server, door, meter(1, "hasty"), meter(2, "hasty"))) as owner,
    ):
        await door.until(lambda door: len(door.deliveries) == 2)
        await asyncio.sleep(0.5)  # whatever was to ring while nobody was asked has rung
        owner.update([meter(unit, "hasty") for unit in range(1, 4)])
        await door.until(lambda door: bool(door.contacts("m3")))
    assert door.contacts("m3")[0].failure == "timeout"


@pytest.mark.parametrize("unavailable", [float("nan"), float("inf")])
async def test_what_is_not_available_is_left_out(unavailable: float) -> None:
    door = Remembering()
    async with (
        scripted(once(lambda asked: [answer(asked, power=unavailable)])) as server,
        running(owner_of(server, door, *map(meter, range(1, 5)))),
    ):
        await door.until(lambda door: len(door.deliveries) >= 4)
        asked = server.requests[2][6]
    for one in door.deliveries:
        unit = int(one.contacts[0].meter[1:])
        left_out = "1.7.0" if unit == asked else None
        assert told(one) == {channel: value for channel, value in good(unit).items() if channel != left_out}


async def test_what_is_no_reading_is_rejected_alone() -> None:
    door = Remembering()
    async with (
        scripted(lambda asked: [answer(asked, back=-1.5)]) as server,
        running(owner_of(server, door, meter(1))),
    ):
        await door.until(lambda door: bool(door.deliveries))
    [delivery] = door.deliveries
    assert told(delivery) == {"1.8.0": Decimal(1), "1.7.0": Decimal("-230.2")}
    assert [(reject.reason, reject.channel) for reject in delivery.rejects] == [("impossible_value", "2.8.0")]


async def test_whoever_listens_hears_every_frame_from_then_on() -> None:
    door, heard = Remembering(), list[tuple[str, bytes]]()
    async with (
        scripted(lambda asked: [answer(asked)]) as server,
        running(owner_of(server, door, meter(1))) as owner,
    ):
        await door.until(lambda door: len(door.deliveries) == 1)
        owner.overhear(lambda way, frame: heard.append((way, frame)))
        owner.update([meter(unit) for unit in range(1, 4)])
        await door.until(lambda door: len(door.deliveries) == 3)
        asked = server.requests[1:]
        await eventually(lambda: len(heard) >= 4)
        owner.overhear(None)
        owner.update([meter(unit) for unit in range(1, 6)])
        await door.until(lambda door: len(door.deliveries) == 5)
    assert heard == [one for request in asked for one in (("→", request), ("←", answer(request)))]


class Narrow(Remembering):
    """A door that has no room for every third that comes."""

    offered = 0

    def offer(self, delivery: Delivery) -> bool:
        self.offered += 1
        return self.offered % 3 != 0 and super().offer(delivery)


async def test_what_finds_the_door_full_is_kept_and_nobody_is_asked_twice() -> None:
    door, units = Narrow(), range(1, 10)
    async with scripted(lambda asked: [answer(asked)]) as server, running(owner_of(server, door, *map(meter, units))):
        await door.until(lambda door: len(door.deliveries) >= len(units))
        assert len(server.requests) == len(units)
    assert sorted(one.contacts[0].meter for one in door.deliveries) == [f"m{unit}" for unit in units]
