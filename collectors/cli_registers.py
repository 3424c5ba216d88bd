"""`amr meter registers`: a meter's registers without a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from collectors.catalog import load_catalog
from collectors.cli_owned import Direct, Name, Way, on_line, registers_through
from collectors.cli_words import Address, Baud, Kind, Parity, console, fail, given_line
from collectors.line_settings import settings_of, unit_of_meter
from collectors.modbus import ModbusLink
from collectors.registers import Words, address_of, pieces, read_registers, rows
from ingest.errors import AmrError, Misconfigured


def show_registers(
    context: typer.Context,
    first: Annotated[
        str,
        typer.Option(
            "--from", help="The first, as on the wire: a manual that counts from 1 (or 30001, 40001) says one more."
        ),
    ],
    count: Annotated[int, typer.Option(help="How many.")] = 10,
    function: Annotated[int, typer.Option(help="3 holding registers, 4 input registers.")] = 3,
    unit: Annotated[str, typer.Option(help="The meter's Modbus unit id.")] = "1",
    address: Address = None,
    name: Name = None,
    kind: Kind = None,
    baud: Baud = None,
    parity: Parity = None,
    direct: Direct = False,
) -> None:
    """Show registers as they are: to write a model file, or when no model fits. Compare with the display."""
    try:
        if function not in (3, 4):
            raise Misconfigured(f"--function {function} reads no registers; write 3 or 4")
        asked = pieces(address_of(first), count)

        async def work(way: Way) -> Words:
            number = unit_of_meter("of the command line", unit, settings_of(way.line).kind)
            if way.owner is not None:
                return await registers_through(way.owner, number, function, asked)
            return await _read(ModbusLink(way.line, load_catalog()), number, function, asked)

        words = on_line(context.obj, name, given_line(address, kind, baud=baud, parity=parity), work, direct=direct)
    except AmrError as error:
        raise fail(error) from error
    table = Table(
        *("address", "word", "uint16", "int16"),
        *("uint32\nABCD", "float32\nABCD", "uint32\nCDAB", "float32\nCDAB", "text"),
        box=None,
    )
    for row in rows(words):
        table.add_row(*row)
    console.print(table)


async def _read(link: ModbusLink, unit: int, function: int, asked: list[tuple[int, int]]) -> Words:
    found: dict[int, bytes | None] = {}
    try:
        await link.open()
        for first, count in asked:
            found.update(await read_registers(link, unit, function, first, count))
    finally:
        await link.close()
    return found
