"""An outage stands in the log once when it begins and once when it is over, with what it is about; tries at DEBUG."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from collectors.broker import Broker
from collectors.clock import Clock
from collectors.line import Owner
from collectors.modbus import ModbusLink
from collectors.patience import Patience
from ingest import intake as intakes
from ingest.errors import StoreUnavailable
from ingest.intake import Intake
from simulators.modbus import ModbusServer
from simulators.mosquitto import Mosquitto
from tests.collectors.modbus_rig import IMPATIENT, Remembering, line_to, patient_catalog, polled, simulated
from tests.collectors.push_rig import HeldDoor, subscribed, until
from tests.collectors.running import running
from tests.ingest.memory_store import MemoryStore, spec
from tests.ingest.test_intake import delivery
from tests.ingest.test_intake import running as storing

MINUTE = timedelta(minutes=1)
PATIENCE = Patience(turns=3, time=60.0, retry=5.0, probe=60.0, longest=60.0)


def told(caplog: pytest.LogCaptureFixture, word: str) -> list[logging.LogRecord]:
    """What was said, to whoever runs it as usual, with this word in it."""
    return [one for one in caplog.records if one.levelno >= logging.INFO and word in one.getMessage()]


def owner_of(server: ModbusServer, door: Remembering, factor: float) -> Owner:
    line = line_to(server)
    owner = Owner(line, ModbusLink(line, patient_catalog(0.1)), door, Clock(factor), PATIENCE)
    owner.update([polled(5, IMPATIENT, MINUTE), polled(6, period=MINUTE)])
    return owner


async def test_a_silent_meter_is_told_of_once_and_once_when_it_answers_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "collectors.line")
    door, served = Remembering(), {number: simulated("eastron-sdm120", f"1100000{number}") for number in (5, 6)}
    served[5].break_with("dead")
    async with ModbusServer(served) as server, running(owner_of(server, door, 200.0)):
        await door.until(lambda door: len(door.contacts("serial-5")) >= 4)
        served[5].mend()
        await door.until(lambda door: len(door.polls("serial-5")) >= 2)
    begun, over = told(caplog, "serial-5")
    assert "What to try: check its power, wiring and address" in begun.getMessage()
    assert over.getMessage().startswith("meter serial-5 on line tp-101 answers again, after")
    assert {(vars(one)["line"], vars(one)["meter"]) for one in (begun, over)} == {("tp-101", "serial-5")}
    assert not told(caplog, "serial-6")
    assert len([one for one in caplog.records if "serial-5" in one.getMessage()]) >= 4, "the tries are there for DEBUG"


async def test_a_line_that_is_down_is_told_of_once_and_its_meters_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "collectors.line")
    door, server = Remembering(), ModbusServer({n: simulated("eastron-sdm120", f"1100000{n}") for n in (5, 6)})
    async with server, running(owner_of(server, door, 100.0)):
        await door.until(lambda door: bool(door.polls("serial-5") and door.polls("serial-6")))
        await server.stop()
        await until(lambda: sum("next try" in one.getMessage() for one in caplog.records) >= 3)
        polls = len(door.polls("serial-6"))
        await server.start()
        await door.until(lambda door: len(door.polls("serial-6")) > polls)
    [begun] = told(caplog, "next try")
    [over] = told(caplog, "up again")
    assert "What to try: the converter or port" in begun.getMessage()
    assert vars(begun)["line"] == vars(over)["line"] == "tp-101"
    assert not told(caplog, "serial-")


async def test_a_broker_that_is_away_is_told_of_once_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "collectors.subscriber")
    async with (
        Mosquitto() as mosquitto,
        subscribed(Broker.from_url(mosquitto.url), HeldDoor(), grace=0.1) as subscriber,
    ):
        await mosquitto.kill()
        await until(lambda: sum("refused" in one.getMessage() for one in caplog.records) >= 3)
        await mosquitto.start()
        await until(subscriber.connected.is_set)
    begun, *other = told(caplog, "trying again")
    assert ["refused" in one.getMessage() for one in other] == [True]
    [over] = told(caplog, "there again")
    assert vars(begun)["broker"] == vars(over)["broker"] == str(subscriber.broker)


async def test_a_store_that_is_away_is_told_of_once_with_the_batch_that_waits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "ingest.intake")
    monkeypatch.setattr(intakes, "FIRST_PAUSE", 0.001)
    store = MemoryStore()
    store.install("m1", [spec()])
    intake = Intake(store)
    async with storing(intake):
        await (await intake.put(delivery(100)))
        store.fail = [StoreUnavailable("away")] * 4
        await (await intake.put(delivery(101, first=1)))
    [begun] = told(caplog, "unavailable")
    assert (vars(begun)["batch"], len(told(caplog, "the store is back"))) == (2, 1)
    assert sum("unavailable" in one.getMessage() for one in caplog.records) == 4
