"""What the verbs of meters and lines do for protocols of their own: tables of models, of values, and who is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from collectors.catalog import Catalog
from collectors.cli_words import console, errors, say
from collectors.line_settings import MODBUS_ONLY, LineKind, settings_of
from collectors.link import Answer, LineDown
from collectors.serial_kit import PERIOD, Seen, Tell, WatchedBus, read_once, scan_iec, scan_mercury
from collectors.serial_link import SerialLink
from collectors.serial_model import SerialModel
from collectors.watch import open_again
from ingest.channel import unit_of
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line, Polled


def _asked_for(given: str | None) -> str | None:
    """What is typed is on nobody's screen and in no list of processes."""
    return typer.prompt("password of the meter", hide_input=True) if given == "-" else given


Password = Annotated[
    str | None,
    typer.Option(
        envvar="AMR_METER_PASSWORD",
        callback=_asked_for,
        help="Of a meter with sessions: - to be asked for it, or its characters, or hex: and digits. Whoever may list "
        "processes sees what stands here, so - or the environment are better.",
    ),
]


def polled(model: str, address: str, password: str | None = None) -> Polled:
    """The meter the options describe."""
    options = {} if password is None else {"password": password}
    return Polled(f"{model} {address}", model, address, PERIOD, options=options)


async def read_serial(catalog: Catalog, line: Line, model: SerialModel, address: str, password: str | None) -> None:
    """Read every value of one meter once and show it."""
    link = SerialLink(_unchecked(line), catalog)
    answer, facts = await read_once(link, polled(model.slug, address, password))
    show_read(model, answer, facts)


def _unchecked(line: Line) -> Line:
    """The person at the line does not know the serial number yet."""
    return Line(line.name, line.kind, line.address, {**line.options, "check_serial": False})


def show_read(model: SerialModel, answer: Answer, facts: Mapping[str, str]) -> None:
    """What was read, to compare with label and display."""
    for name, value in facts.items():
        say(f"{name}: {value}")
    if answer.drift is not None:
        say(f"its clock is {answer.drift.total_seconds():+.0f} s ahead of ours, taken as of this machine's zone or UTC")
    console.print(values_of(model, answer.values))
    for reject in answer.rejects:
        say(reject.detail)


def values_of(model: SerialModel, values: Mapping[str, Decimal]) -> Table:
    """Every channel of a model with its value."""
    table = Table("channel", "value", "unit", box=None)
    for spec in model.specs:
        value = f"{values[spec.channel].normalize():f}" if spec.channel in values else "not available"
        table.add_row(spec.channel, value, unit_of(spec.channel))
    return table


def show_model(model: SerialModel) -> None:
    """One model: its source, its questions and its archives."""
    console.print(f"{model.manufacturer} {model.name}: {model.source}", soft_wrap=True, highlight=False)
    console.print(f"speaks {model.tongue.value}", highlight=False)
    table = Table("asked", "channel", "type", "factor", "digits", "max rate/h", box=None)
    for ask in model.asks:
        for item in ask.items:
            digits = "" if item.digits is None else f"{item.digits}+{item.decimals}"
            rate = "" if item.max_rate is None else f"{item.max_rate} {unit_of(item.channel)}"
            table.add_row(ask.send, item.channel, item.kind, f"{item.factor}", digits, rate)
    console.print(table)
    depth = model.depth
    if depth.months or depth.days:
        say(f"keeps registers of {depth.months} months and {depth.days} days")
    if depth.intervals:
        say(f"keeps a load profile of {depth.intervals} intervals of {depth.length}")
    for one in model.unsupported:
        say(f"not supported: {one}")


def rows(models: Iterable[SerialModel]) -> list[tuple[str, str, str, str]]:
    """The catalogue's list: slug, name, values, questions a poll."""
    return [
        (one.slug, f"{one.manufacturer} {one.name}", str(len(one.specs)), str(len({ask.send for ask in one.asks})))
        for one in models
    ]


def protocols_of(given: Sequence[str]) -> list[str]:
    """What is to be spoken. Misconfigured when nobody here speaks it."""
    for one in given:
        if one not in ("modbus", "mercury", "iec"):
            raise Misconfigured(f"--protocol {one!r} is unknown; write modbus, mercury or iec")
    return list(given)


def carries(kind: LineKind, *others: str) -> None:
    """Misconfigured where meters with protocols of their own cannot be reached over such a line."""
    if others and kind in MODBUS_ONLY:
        raise Misconfigured(
            f"kind {kind.value} carries Modbus only, not {others[0]}; write --kind serial for a port's device, or "
            "--kind serial-over-tcp or rfc2217 for a converter"
        )


async def scan_serial(lines: Sequence[Line], protocols: Sequence[str], units: Sequence[int], catalog: Catalog) -> int:
    """Find meters with protocols of their own; how many answered. Each is told as it is found."""
    count = 0
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for line in lines:
            settings = settings_of(line)
            where = f"{settings.where} {settings.baud} {settings.data_bits}{settings.parity}{settings.stop_bits}"
            task = progress.add_task(where, total=len(units) if "mercury" in protocols else 1)

            def tell(_: str, task: object = task) -> None:
                progress.advance(task)  # type: ignore[arg-type]

            if "mercury" in protocols:
                async for seen in scan_mercury(line, units, catalog, tell):
                    count += 1
                    _tell(where, seen)
            if "iec" in protocols:
                async for seen in scan_iec(line, catalog, tell):
                    count += 1
                    _tell(where, seen)
            progress.remove_task(task)
            if count:
                break
    return count


def _tell(where: str, seen: Seen) -> None:
    say(f"{where}  address {seen.address}: {seen.said}")
    say(f"{' ' * len(where)}  may be {', '.join(seen.models)}")


async def watch_serial(line: Line, meters: Sequence[Polled], catalog: Catalog, every: float, say: Tell) -> None:
    """Poll the meters one after the other and show every frame, until cancelled. LineDown as in `ask_in_turn`."""
    link = SerialLink(_unchecked(line), catalog, bus=WatchedBus(line, say))
    try:
        await link.open()
        while True:
            for meter in meters:
                try:
                    answer = await link.read(meter)
                except LineDown:
                    await open_again(link, say)
                    continue
                except AmrError as error:
                    say(f"× {meter.serial}: {error}")
                    continue
                said = "; ".join(f"{channel} = {value:f}" for channel, value in answer.values.items())
                say(f"= {meter.serial}: {said}")
            await asyncio.sleep(every)
    finally:
        await link.close()
