"""`amr catalog …` and `amr meter read`: meter models looked at and checked, and one meter read without a database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from collectors.catalog import Catalog, load_catalog
from collectors.decode import decode, disagreements
from collectors.line_settings import MODBUS_KINDS, LineKind, unit_of_meter
from collectors.meter_model import Model, ModelRegister
from collectors.modbus import ModbusLink
from collectors.model_file import BadModel, parse_model
from collectors.plan import TCP_COST, plan
from collectors.word_orders import ORDERS, readings_by_order
from ingest.channel import unit_of
from ingest.errors import AmrError
from ingest.model import Line, Polled

catalog = typer.Typer(no_args_is_help=True, help="Meter models: what they say and whether a file of yours is right.")
meter = typer.Typer(no_args_is_help=True, help="A meter on its line, without a database.")

_OWN = typer.Option("--catalog", envvar="AMR_CATALOG", help="Folder with model files of your own.")
_console = Console()
_errors = Console(stderr=True)


@catalog.command("list")
def list_models(own: Annotated[Path | None, _OWN] = None) -> None:
    """Every model that can be polled."""
    table = Table("model", "meter", "values", "reads", box=None)
    for model in _load(own).values():
        reads = len(plan(model.registers, TCP_COST, model.max_registers, model.max_gap))
        table.add_row(model.slug, f"{model.manufacturer} {model.name}", str(len(model.registers)), str(reads))
    _console.print(table)


@catalog.command("show")
def show_model(
    slug: Annotated[str, typer.Argument(metavar="MODEL", help="As `amr catalog list` names it.")],
    own: Annotated[Path | None, _OWN] = None,
) -> None:
    """One model: its source, its registers, and how they are read."""
    try:
        model = _load(own).model(slug)
    except AmrError as error:
        raise _fail(error) from error
    _console.print(f"{model.manufacturer} {model.name}: {model.source}", soft_wrap=True, highlight=False)
    _console.print(_registers(model))
    for block in plan(model.registers, TCP_COST, model.max_registers, model.max_gap):
        last = block.address + block.count - 1
        _console.print(f"read function {block.function}, {block.address:#06x}…{last:#06x}, {block.count} registers")


@catalog.command("check")
def check_file(file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file, <maker-model>.toml.")]) -> None:
    """Check a model file; every mistake is named with its line and what to do about it."""
    try:
        model = parse_model(str(file), file.read_bytes())
    except BadModel as bad:
        for mistake in bad.mistakes:
            _errors.print(str(mistake), soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from bad
    except OSError as error:
        raise _fail(error) from error
    wrong = list(disagreements(model))
    for one in wrong:
        _errors.print(one, soft_wrap=True, highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)
    samples = f"{len(model.samples)} samples agree" if model.samples else "no samples: add some from the manual"
    _console.print(f"{file}: right; {len(model.registers)} registers, {len(model.sums)} sums, {samples}")


@meter.command("read")
def read_meter(
    model: Annotated[str, typer.Option(help="As `amr catalog list` names it.")],
    address: Annotated[str, typer.Option(help="host:port, or the serial port's device.")],
    unit: Annotated[int, typer.Option(help="The meter's Modbus unit id.")] = 1,
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(MODBUS_KINDS)}.")] = "modbus-tcp",
    baud: Annotated[int | None, typer.Option(help="Speed of a serial line; left out, 9600.")] = None,
    parity: Annotated[str | None, typer.Option(help="N, E or O; left out, N.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also the words, read in all four orders.")] = False,
    own: Annotated[Path | None, _OWN] = None,
) -> None:
    """Read every register of one meter once, to compare with its display."""
    options = {name: value for name, value in (("baud", baud), ("parity", parity)) if value is not None}
    try:
        known = _load(own)
        facts = known.model(model)
        link = ModbusLink(Line("command line", kind, address, options), known)
        unit_of_meter("of the command line", str(unit), LineKind(kind))
        polled = Polled(f"unit {unit}", model, str(unit), timedelta(minutes=30))
        table = _values(facts, asyncio.run(_words(link, polled)), raw)
    except AmrError as error:
        raise _fail(error) from error
    _console.print(table)


async def _words(link: ModbusLink, polled: Polled) -> dict[str, bytes]:
    try:
        await link.open()
        return await link.words(polled)
    finally:
        await link.close()


def _registers(model: Model) -> Table:
    table = Table("channel", "address", "fn", "type", "unit", "digits", "max rate/h", box=None)
    for one in model.registers:
        digits = "" if one.digits is None else f"{one.digits}+{one.decimals}"
        rate = "" if one.max_rate is None else f"{one.max_rate} {unit_of(one.channel)}"
        table.add_row(one.channel, f"{one.address:#06x}", str(one.function), one.kind.value, one.unit, digits, rate)
    for total in model.sums:
        table.add_row(total.channel, "sum of", "", " + ".join(total.parts), "", "", "")
    return table


def _values(model: Model, words: dict[str, bytes], raw: bool) -> Table:
    table = Table("channel", "value", "unit", *(("words", *ORDERS) if raw else ()), box=None)
    values: dict[str, Decimal] = {}
    for one in model.registers:
        seen = words.get(one.channel)
        value = None if seen is None else decode(one, seen)
        if value is not None:
            values[one.channel] = value
        table.add_row(one.channel, _said(value, seen), unit_of(one.channel), *(_raw(one, seen) if raw else ()))
    for total in model.sums:
        parts = [values[part] for part in total.parts if part in values]
        whole = sum(parts, Decimal(0)) if len(parts) == len(total.parts) else None
        table.add_row(total.channel, _said(whole, b""), unit_of(total.channel))
    return table


def _said(value: Decimal | None, seen: bytes | None) -> str:
    if value is not None:
        return f"{value.normalize():f}"
    return "refused" if seen is None else "not available"


def _raw(register: ModelRegister, seen: bytes | None) -> tuple[str, ...]:
    if seen is None:
        return ()
    return seen.hex(" ", 2), *readings_by_order(register, seen)


def _load(own: Path | None) -> Catalog:
    try:
        return load_catalog(own)
    except AmrError as error:
        raise _fail(error) from error


def _fail(error: Exception) -> typer.Exit:
    """Say what is wrong and end with code 1."""
    _errors.print(str(error), soft_wrap=True, highlight=False, markup=False)
    return typer.Exit(1)
