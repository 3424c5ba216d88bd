"""A line watched over real sockets and pseudo-terminals: what we ask, and what others do."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from typer.testing import CliRunner

from collectors.catalog import load_catalog
from collectors.cli import line as verbs
from collectors.line_settings import LineKind
from collectors.link import LineDown
from collectors.watch import Eavesdropper, ask_in_turn, listen, polled_of
from ingest.errors import Misconfigured
from ingest.model import Line
from simulators.ascii_framing import ascii_frame
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import AT, PATIENCE, eventually, line_to, scripted, simulated
from tests.collectors.test_overhear import ANSWER, ASKED

CATALOG = load_catalog()
QUICK = {"timeout": 0.2, "late": 0.0, "quiet": 0.02, "connect_pause": 0.0}


async def until(told: list[str], work: Coroutine[Any, Any, None], holds: Callable[[list[str]], bool]) -> list[str]:
    """Run the work until what was told holds."""
    task = asyncio.create_task(work)
    try:
        await eventually(lambda: task.done() or holds(told))
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return told


@pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
async def test_questions_and_answers_are_told_decoded(kind: str) -> None:
    unit = simulated("eastron-sdm120")
    energy = unit.meter.values(AT)["1.8.0"]
    told: list[str] = []
    async with ModbusServer({5: unit}, kind=kind) as server:
        asking = ask_in_turn(line_to(server), polled_of(["5=eastron-sdm120"]), CATALOG, 0.0, told.append)
        await until(told, asking, lambda told: sum("1.8.0 =" in one for one in told) >= 2)
    assert told[0].startswith("→ unit 5 is asked for ")
    assert any(one.startswith("← unit 5 says ") and f"1.8.0 = {energy.normalize():f} kWh" in one for one in told)


async def test_a_silent_meter_is_told_and_the_next_is_asked() -> None:
    told: list[str] = []
    async with ModbusServer({6: simulated("eastron-sdm120")}, kind="rtu-over-tcp") as server:
        meters = polled_of(["5=eastron-sdm120", "6=eastron-sdm120"])
        asking = ask_in_turn(line_to(server, **QUICK), meters, CATALOG, 0.0, told.append)
        await until(told, asking, lambda told: any(one.startswith("← unit 6") for one in told))
    assert any(one.startswith("× unit 5 did not answer") for one in told)


async def test_a_converter_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.watch._FIRST_PAUSE", 0.05)
    told: list[str] = []
    server = ModbusServer({5: simulated("eastron-sdm120")})
    await server.start()
    watched = line_to(server, timeout=PATIENCE)
    task = asyncio.create_task(ask_in_turn(watched, polled_of(["5=eastron-sdm120"]), CATALOG, 0.05, told.append))
    try:
        await eventually(lambda: any("1.8.0" in one for one in told))
        await server.stop()
        await eventually(lambda: any("Connection refused; next try in" in one for one in told))
        await server.start()
        await eventually(lambda: "= the line is open again" in told)
        again = told.index("= the line is open again")
        await eventually(lambda: any("1.8.0" in one for one in told[again:]))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


async def test_what_others_say_is_heard_on_a_serial_line() -> None:
    told: list[str] = []
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    watched = Line("l", "modbus-rtu", os.ttyname(theirs), {})
    task = asyncio.create_task(listen(watched, polled_of(["5=eastron-sdm120"]), CATALOG, told.append))
    async with asyncio.timeout(PATIENCE):
        while not told:  # what is said before the port is open may be lost
            os.write(ours, ASKED + ANSWER)
            await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    os.close(ours)
    os.close(theirs)
    assert told[0].startswith("unit 5 is asked for 4 from 0x0046")


async def test_a_converter_that_hangs_up_ends_the_listening() -> None:
    told: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ASKED + ANSWER + b"\x55")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        watched = Line("l", "rtu-over-tcp", f"127.0.0.1:{port}", {})
        with pytest.raises(LineDown, match="closed the connection"):
            async with asyncio.timeout(PATIENCE):
                await listen(watched, polled_of(["5=eastron-sdm120"]), CATALOG, told.append)
    assert "1.8.0 = 10000 kWh; 14.7.0 = 50 Hz" in told[1]
    assert told[2] == "no frame: 55"


async def test_modbus_tcp_cannot_be_listened_to() -> None:
    with pytest.raises(Misconfigured, match="name meters to ask with --meter UNIT=MODEL"):
        await listen(Line("l", "modbus-tcp", "127.0.0.1:1"), [], CATALOG, lambda text: None)


def test_meters_are_written_with_their_models() -> None:
    [one] = polled_of(["5 = abb-b23"])
    assert (one.address, one.model) == ("5", "abb-b23")
    for wrong in ("5", "=abb-b23", "5="):
        with pytest.raises(Misconfigured, match="write UNIT=MODEL"):
            polled_of([wrong])


async def test_the_verb_shows_the_time_and_ends_in_time() -> None:
    async with scripted(lambda request: []) as server:
        where = ("--address", f"127.0.0.1:{server.port}", "--meter", "5=eastron-sdm120", "--seconds", "1.5")
        result = await asyncio.to_thread(CliRunner().invoke, verbs, ["watch", *where])
    assert result.exit_code == 0
    assert "→ unit 5 is asked for" in result.stdout


def test_what_the_collector_says_in_ascii_is_decoded() -> None:
    told: list[str] = []
    ear = Eavesdropper(LineKind.ASCII, {5: CATALOG["eastron-sdm120"]}, told.append)
    ear.hear("→", ascii_frame(5, bytes.fromhex("04 0046 0002")))
    ear.hear("←", ascii_frame(5, bytes.fromhex("04 04 42480000")))
    ear.hear("←", b":0504noise\r\n")
    ear.hear("←", ascii_frame(5, bytes.fromhex("04 04 42480000")).replace(b"4248", b"4249"))
    assert told[0].startswith("→ unit 5 is asked for 2 from 0x0046 on, function 4   [3a 30 35")
    assert told[1].startswith("← unit 5 says 14.7.0 = 50 Hz   [3a")
    assert [one[:4] for one in told[2:]] == ["← [3", "← [3"]
