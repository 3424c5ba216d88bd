"""Registers shown without a model: every one that is there, in all the ways it may be meant."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner, Result

import amr
from collectors.registers import address_of, pieces, rows
from ingest.errors import Misconfigured
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import scripted, simulated


async def run(port: int, *words: str) -> Result:
    where = ("--address", f"127.0.0.1:{port}", "--unit", "5", "--direct")
    return await asyncio.to_thread(CliRunner().invoke, amr.app, ["meter", "registers", *where, *words])


def shown(result: Result) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip().startswith("0x")}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.cli_words.console._width", 200)


async def test_a_float_is_seen_where_it_begins() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        result = await run(server.port, "--function", "4", "--from", "0x48", "--count", "3")
    assert result.exit_code == 0, result.stderr
    words = shown(result)
    assert list(words) == ["0x0048", "0x0049", "0x004a"]
    kwh = float(unit.meter.values(unit.clock.now())["1.8.0"])
    assert float(words["0x0048"][4]) == pytest.approx(kwh, rel=1e-6)


async def test_registers_that_are_not_there_are_told_from_those_that_are() -> None:
    there = range(10, 13)

    def answer(request: bytes) -> list[bytes | float | None]:
        first, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
        if not all(one in there for one in range(first, first + count)):
            return [request[:4] + bytes((0, 3, request[6], request[7] | 0x80, 2))]
        data = b"".join(one.to_bytes(2, "big") for one in range(first, first + count))
        return [request[:4] + bytes((0, 3 + len(data), request[6], request[7], len(data))) + data]

    async with scripted(answer) as server:
        result = await run(server.port, "--from", "8", "--count", "7")
        none = await run(server.port, "--from", "100", "--count", "3")
    words = shown(result)
    assert [address for address, row in words.items() if row[0] != "refused"] == ["0x000a", "0x000b", "0x000c"]
    assert words["0x000b"][:3] == ["000b", "11", "11"]
    assert none.exit_code == 1
    assert "the meter refuses all 3 registers from 0x0064 on with function 3" in none.stderr


async def test_a_function_nobody_knows_is_asked_once() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> list[bytes | float | None]:
        asked.append(request)
        return [request[:4] + bytes((0, 3, request[6], request[7] | 0x80, 1))]

    async with scripted(answer) as server:
        result = await run(server.port, "--from", "0", "--count", "100")
    assert "exception 1 (illegal function)" in result.stderr
    assert len(asked) == 1


def test_each_way_to_mean_a_word() -> None:
    words = {1: bytes.fromhex("4248"), 2: bytes.fromhex("ffff"), 3: None, 9: b"A1"}
    assert list(rows(words)) == [
        ("0x0001", "4248", "16968", "16968", "1112080383", "50.25", "4294918728", "–", "BH"),
        ("0x0002", "ffff", "65535", "-1", "", "", "", "", "··"),
        ("0x0003", "refused", "", "", "", "", "", "", ""),
        ("0x0009", "4131", "16689", "16689", "", "", "", "", "A1"),
    ]


def test_addresses_and_counts_are_read_strictly() -> None:
    assert (address_of("0x5000"), address_of("20480"), address_of("00010")) == (0x5000, 20480, 10)
    assert pieces(0x100, 300) == [(0x100, 125), (0x17D, 125), (0x1FA, 50)]
    for wrong in ("65536", "-1", "5000h", "", "0x12345"):
        with pytest.raises(Misconfigured, match="is no register; write a number from 0 to 65535"):
            address_of(wrong)
    for first, count in ((0, 0), (0, 501), (0xFFFF, 2)):
        with pytest.raises(Misconfigured, match="--count"):
            pieces(first, count)
