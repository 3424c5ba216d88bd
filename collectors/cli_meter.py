"""`amr meter read` and `amr meter scan`: a meter on its line, or asked through the collector that polls it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from collectors.catalog import Catalog
from collectors.cli_owned import Asked, Direct, Name, Way, on_line, read_through, scan_through
from collectors.cli_serial import Password, carries, protocols_of, read_serial, scan_serial, show_read
from collectors.cli_words import Address, Baud, Kind, Own, Parity, console, errors, fail, given_line, load, say
from collectors.fit import Fit, valued
from collectors.line_settings import settings_of, unit_of_meter
from collectors.link import Answer, NotSettable
from collectors.meter_model import Model, ModelRegister
from collectors.modbus import ModbusLink
from collectors.scan import Found, quick, scan, units_of, ways
from collectors.serial_model import SerialModel
from collectors.word_orders import ORDERS, readings_by_order
from ingest.channel import unit_of
from ingest.delivery import Reject
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line, Polled

meter = typer.Typer(no_args_is_help=True, help="A meter on its line: found, read, added, exchanged.")

_NEXT = (
    "Next: `amr meter read` with that address, kind, unit and model, and compare with the display; where none fits, "
    "`amr meter registers`."
)
_SHOWN = ("1.8.0", "32.7.0", "14.7.0")


@meter.command("read")
def read_meter(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="As `amr catalog list` names it.")],
    address: Address = None,
    name: Name = None,
    unit: Annotated[str, typer.Option(help="The meter's Modbus unit id, Меркурий or IEC 62056-21 address.")] = "1",
    kind: Kind = None,
    baud: Baud = None,
    parity: Parity = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also the words, read in all four orders.")] = False,
    password: Password = None,
    direct: Direct = False,
    own: Own = None,
) -> None:
    """Read every register of one meter once, to compare with its display."""
    try:
        known = load(own)
        given = given_line(address, kind, baud=baud, parity=parity)
        facts = known.serial_model(model) or known.model(model)

        async def work(way: Way) -> None:
            if way.owner is not None:
                await _read_through(way.owner, facts, unit, raw, password)
            elif isinstance(facts, SerialModel):
                carries(settings_of(way.line).kind, facts.slug)
                await read_serial(known, way.line, facts, unit, password)
            else:
                unit_of_meter("of the command line", unit, settings_of(way.line).kind)
                polled = Polled(f"unit {unit}", model, unit, timedelta(minutes=30))
                console.print(values_table(facts, await _words(ModbusLink(way.line, known), polled), raw))

        on_line(context.obj, name, given, work, direct=direct)
    except AmrError as error:
        raise fail(error) from error


async def _read_through(owner: Asked, facts: Model | SerialModel, unit: str, raw: bool, password: str | None) -> None:
    """What the collector read, shown as if we had."""
    if password is not None:
        say("the collector speaks with the password stored for this meter, not with the one given")
    said = await read_through(owner, facts.slug, unit)
    if isinstance(facts, Model):
        console.print(values_table(facts, said.words, raw))
        return
    rejects = tuple(Reject("heard", detail, b"") for detail in said.rejects)
    show_read(facts, Answer(said.values, rejects=rejects, drift=said.drift), said.facts)


@meter.command("scan")
def scan_line(
    context: typer.Context,
    address: Address = None,
    name: Name = None,
    kind: Kind = None,
    units: Annotated[str, typer.Option(help="Addresses to ask, like 1-32,100.")] = "1-247",
    baud: Annotated[
        list[int] | None, typer.Option(help="Speed to try; may be repeated. Left out: the usual ones.")
    ] = None,
    parity: Annotated[list[str] | None, typer.Option(help="N, E or O; may be repeated. Left out: N and E.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for each address.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="modbus, mercury or iec; may be repeated. Left out: modbus.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Go on with other speeds when somebody answered at one.")
    ] = False,
    direct: Direct = False,
    own: Own = None,
) -> None:
    """Find out who is on a line, at which speed and parity, and which models of the catalogue that may be."""
    try:
        wanted, known = units_of(units), load(own)
        given = given_line(address, kind, timeout=timeout)
        spoken = protocols_of(protocol or ["modbus"])

        async def work(way: Way) -> int:
            if way.owner is not None:
                if spoken != ["modbus"] or baud or parity:
                    raise Misconfigured(
                        f"line {way.line.name} is polled, and only Modbus at its own speed is scanned between the "
                        "polls; stop `amr collect` for the rest"
                    )
                return await scan_through(way.owner, units, timeout, known, partial(_tell, way.line.name))
            others = [one for one in spoken if one != "modbus"]
            any_kind = kind is None and name is None
            lines = [quick(line, timeout) for line in ways(way.line, baud or (), _parities(parity), any_kind)]
            for line in lines:
                carries(settings_of(line).kind, *others)
            found = await _scan(lines, wanted, known, everything) if "modbus" in spoken else 0
            return found + (await scan_serial(lines, others, wanted, known) if others else 0)

        found = on_line(context.obj, name, given, work, direct=direct)
    except AmrError as error:
        raise fail(error) from error
    if found:
        errors.print(_NEXT, soft_wrap=True, highlight=False)
    else:
        raise fail(
            AmrError(f"nobody answered on {name or address}"),
            "check the wiring (A and B changed over?), the power of the meters, and the kind of line with --kind; "
            "Меркурий and IEC meters are found with --protocol mercury and --protocol iec",
        )


def _parities(given: Sequence[str] | None) -> list[str]:
    """Small letters will do."""
    return [one.upper() for one in given or ()]


async def _scan(lines: Sequence[Line], units: Sequence[int], catalog: Catalog, everything: bool) -> int:
    """How many answered; each is told as it is found."""
    count = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for line in lines:
            where = _speed(line)
            count_of_them = "1 address" if len(units) == 1 else f"{len(units)} addresses"
            errors.print(f"{where}: {count_of_them}, about {_about(line, len(units))}", highlight=False)
            task = progress.add_task(where, total=len(units))
            try:
                async for found in scan(line, units, catalog, lambda unit: progress.advance(task)):  # noqa: B023
                    count += 1
                    _tell(where, found)
            except NotSettable as error:
                errors.print(str(error), soft_wrap=True, highlight=False)
            progress.remove_task(task)
            if count and not everything:
                break
    return count


def _speed(line: Line) -> str:
    settings = settings_of(line)
    if not settings.kind.is_serial:
        return f"{settings.where} {settings.kind.value}"
    return f"{settings.baud} {settings.data_bits}{settings.parity}{settings.stop_bits}"


def _about(line: Line, units: int) -> str:
    settings = settings_of(line)
    seconds = units * ((settings.timeout or 0.0) + settings.frame_time(2) + settings.quiet)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _tell(where: str, found: Found) -> None:
    if found.trouble:
        say(f"{where}  unit {found.unit}: heard badly: {found.trouble}; two meters at one address, or another speed")
        return
    if not found.fits:
        say(f"{where}  unit {found.unit}: answers, but no model of the catalogue fits")
        return
    best, *others = found.fits
    say(f"{where}  unit {found.unit}: {_fit(best)}")
    for other in others:
        say(f"{' ' * len(where)}      or {_fit(other)}")


def _fit(fit: Fit) -> str:
    serial = f"serial {fit.serial}" if fit.serial else "states no serial number"
    shown = [f"{one} = {fit.values[one].normalize():f} {unit_of(one)}" for one in _SHOWN if one in fit.values]
    lacks = [f"lacks {', '.join(fit.missing)}"] if fit.missing else []
    return f"{fit.model.slug}, {', '.join([serial, *shown, *lacks])}"


async def _words(link: ModbusLink, polled: Polled) -> dict[str, bytes]:
    try:
        await link.open()
        return await link.words(polled)
    finally:
        await link.close()


def values_table(model: Model, words: dict[str, bytes], raw: bool = False) -> Table:
    """Every register and sum of a model with its value, for a person who compares them with a display."""
    table = Table("channel", "value", "unit", *(("words", *ORDERS) if raw else ()), box=None)
    values = valued(model, words)
    for one in model.registers:
        seen = words.get(one.channel)
        absent = "refused" if seen is None else "not available"
        value = f"{values[one.channel].normalize():f}" if one.channel in values else absent
        table.add_row(one.channel, value, unit_of(one.channel), *(_raw(one, seen) if raw else ()))
    for total in model.sums:
        value = f"{values[total.channel].normalize():f}" if total.channel in values else "not available"
        table.add_row(total.channel, value, unit_of(total.channel))
    return table


def _raw(register: ModelRegister, seen: bytes | None) -> tuple[str, ...]:
    return () if seen is None else (seen.hex(" ", 2), *readings_by_order(register, seen))
