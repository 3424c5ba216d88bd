"""`amr catalog …`: meter models looked at and checked; and the verbs of meters and lines, for `amr` to mount."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from collectors.catalog import AnyModel, model_files, read_model
from collectors.cli_add import add_meter
from collectors.cli_line import line
from collectors.cli_meter import meter
from collectors.cli_registers import show_registers
from collectors.cli_serial import rows
from collectors.cli_serial import show_model as show_serial_model
from collectors.cli_words import Own, console, errors, fail, load, say
from collectors.decode import disagreements
from collectors.meter_model import Model
from collectors.model_file import BadModel
from collectors.plan import TCP_COST, plan
from collectors.pushed_model import PushedModel
from collectors.serial_model import SerialModel
from collectors.serial_model import disagreements as serial_disagreements
from ingest.channel import unit_of
from ingest.errors import AmrError

__all__ = ["catalog", "line", "meter"]

catalog = typer.Typer(no_args_is_help=True, help="Meter models: what they say and whether a file of yours is right.")
meter.command("add")(add_meter)
meter.command("registers")(show_registers)


@catalog.command("list")
def list_models(own: Own = None) -> None:
    """Every model that is known: those that are polled, and those that are heard over MQTT."""
    table = Table("model", "meter", "values", "reads", box=None)
    known = load(own)
    for model in known.values():
        reads = len(plan(model.registers, TCP_COST, model.max_registers, model.max_gap))
        table.add_row(model.slug, f"{model.manufacturer} {model.name}", str(len(model.registers)), str(reads))
    for row in rows(known.serial.values()):
        table.add_row(*row)
    for heard in known.pushed.values():
        table.add_row(heard.slug, f"{heard.manufacturer}: {heard.name}", str(len(heard.specs)), "MQTT")
    console.print(table)


@catalog.command("show")
def show_model(
    slug: Annotated[str, typer.Argument(metavar="MODEL", help="As `amr catalog list` names it.")],
    own: Own = None,
) -> None:
    """One model: its source, its registers, and how they are read."""
    try:
        known = load(own)
        if slug in known.pushed:
            _show_pushed(known.pushed[slug])
            return
        serial = known.serial_model(slug)
        if serial is not None:
            show_serial_model(serial)
            return
        model = known.model(slug)
    except AmrError as error:
        raise fail(error) from error
    console.print(f"{model.manufacturer} {model.name}: {model.source}", soft_wrap=True, highlight=False)
    console.print(_registers(model))
    for block in plan(model.registers, TCP_COST, model.max_registers, model.max_gap):
        last = block.address + block.count - 1
        console.print(f"read function {block.function}, {block.address:#06x}…{last:#06x}, {block.count} registers")


@catalog.command("check")
def check_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Model files, <maker-model>.toml, or folders of them.")
    ],
) -> None:
    """Check model files; every mistake is named with its line and what to do about it."""
    try:
        wrong = [file for file in model_files(files) if not _is_right(file)]
    except AmrError as error:
        raise fail(error) from error
    if wrong:
        raise typer.Exit(1)


def _is_right(file: Path) -> bool:
    """Say what is wrong with a file, or what is in it."""
    try:
        model = read_model(str(file), file.read_bytes())
    except BadModel as bad:
        wrong = [str(mistake) for mistake in bad.mistakes]
    except OSError as error:
        wrong = [f"{file}: {error.strerror}: give the path of a file that you may read"]
    else:
        wrong = [f"{file}: {one}" for one in _disagreements(model)]
        if not wrong:
            say(f"{file}: right; {_contents(model)}")
    for one in wrong:
        errors.print(one, soft_wrap=True, highlight=False, markup=False)
    return not wrong


def _disagreements(model: AnyModel) -> Iterable[str]:
    """Samples that decode to something else."""
    if isinstance(model, PushedModel):
        return ()
    return serial_disagreements(model) if isinstance(model, SerialModel) else disagreements(model)


def _contents(model: AnyModel) -> str:
    if isinstance(model, PushedModel):
        return f"{len(model.specs)} values, heard over MQTT"
    samples = f"{len(model.samples)} samples agree" if model.samples else "no samples: add some from the manual"
    if isinstance(model, SerialModel):
        return f"{len(model.specs)} values, {len(model.archives)} archives, {samples}"
    return f"{len(model.registers)} registers, {len(model.sums)} sums, {samples}"


def _show_pushed(model: PushedModel) -> None:
    console.print(f"{model.manufacturer}: {model.name}: {model.source}", soft_wrap=True, highlight=False)
    table = Table("channel", "unit", "digits", "max rate/h", box=None)
    for one in model.specs:
        digits = f"{one.digits or '?'}+{one.decimals}"
        table.add_row(one.channel, unit_of(one.channel), digits, "" if one.max_rate is None else str(one.max_rate))
    console.print(table)


def _registers(model: Model) -> Table:
    table = Table("channel", "address", "fn", "type", "unit", "digits", "max rate/h", box=None)
    for one in model.registers:
        digits = "" if one.digits is None else f"{one.digits}+{one.decimals}"
        rate = "" if one.max_rate is None else f"{one.max_rate} {unit_of(one.channel)}"
        table.add_row(one.channel, f"{one.address:#06x}", str(one.function), one.kind.value, one.unit, digits, rate)
    for total in model.sums:
        table.add_row(total.channel, "sum of", "", " + ".join(total.parts), "", "", "")
    return table
