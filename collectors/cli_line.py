"""`amr line budget` and `amr line watch`: does a schedule fit a line, and what goes over it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from collectors.budget import BUSY_SHARE, Budget, Load, budget
from collectors.catalog import Catalog
from collectors.cli_owned import Direct, Name, Way, on_line, watch_through
from collectors.cli_serial import Password, carries, watch_serial
from collectors.cli_words import Address, Baud, Kind, Own, Parity, console, fail, given_line, load, say
from collectors.line_settings import LineKind, settings_of
from collectors.serial_model import SerialModel
from collectors.watch import ask_in_turn, listen, polled_of
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line, Polled

line = typer.Typer(no_args_is_help=True, help="A line: what a schedule costs it, and what goes over it.")

_LOAD = re.compile(r"(?P<model>[^:@]+):(?P<meters>\d{1,4})(@(?P<count>\d{1,4})(?P<unit>[smhd]))?", re.ASCII)
_PORTS = {one.value for one in LineKind if one.is_serial}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@line.command("budget")
def show_budget(
    meters: Annotated[
        list[str], typer.Option(metavar="MODEL:COUNT[@PERIOD]", help="Like eastron-sdm630:30@15m; may be repeated.")
    ],
    kind: Annotated[str | None, typer.Option(help="Of the line; left out, modbus-rtu, or serial where needed.")] = None,
    baud: Baud = None,
    parity: Parity = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for an answer; left out, the model's.")] = None,
    dead: Annotated[int, typer.Option(min=0, help="So many of them do not answer.")] = 1,
    own: Own = None,
) -> None:
    """Does the schedule fit this line at this speed, and what does a dead meter cost? Code 1 when it does not fit."""
    try:
        catalog = load(own)
        loads = [_load_of(one, catalog) for one in meters]
        kind = kind or ("serial" if any(isinstance(one.model, SerialModel) for one in loads) else "modbus-rtu")
        where = "/dev/port" if kind in _PORTS else "host:502"
        settings = settings_of(given_line(where, kind, baud=baud, parity=parity, timeout=timeout).line)
        carries(settings.kind, *(one.model.slug for one in loads if isinstance(one.model, SerialModel)))
        meters_there = sum(one.meters for one in loads)
        if dead > meters_there:
            raise Misconfigured(f"--dead {dead} of {meters_there} meters cannot be; write at most {meters_there}")
        counted = budget(settings, loads, dead)
    except AmrError as error:
        raise fail(error) from error
    console.print(_costs(counted))
    _conclude(counted)
    if not counted.fits:
        raise typer.Exit(1)


@line.command("watch")
def watch_line(
    context: typer.Context,
    address: Address = None,
    name: Name = None,
    kind: Kind = None,
    baud: Baud = None,
    parity: Parity = None,
    meter: Annotated[
        list[str] | None, typer.Option(metavar="UNIT=MODEL", help="A meter to ask and to decode; may be repeated.")
    ] = None,
    only_listen: Annotated[
        bool, typer.Option("--listen", help="Say nothing: somebody else asks on this line.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.0, help="Seconds of rest after each round of questions.")] = 5.0,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so long; left out, with Ctrl-C.")] = None,
    password: Password = None,
    direct: Direct = False,
    own: Own = None,
) -> None:
    """Show the frames on a line as they go, decoded.

    Of a line that is polled, the collector's; without meters to ask any other is only listened to.
    """
    try:
        catalog, meters = load(own), polled_of(meter or [])
        given = given_line(address, kind, baud=baud, parity=parity, password=password)

        async def work(way: Way) -> None:
            if way.owner is not None:
                await watch_through(way.owner, seconds)
            else:
                await _for(_watching(way.line, meters, catalog, every, only_listen=only_listen), seconds)

        with contextlib.suppress(KeyboardInterrupt):
            on_line(context.obj, name, given, work, direct=direct)
    except AmrError as error:
        raise fail(error) from error


def _watching(
    line: Line, meters: Sequence[Polled], catalog: Catalog, every: float, *, only_listen: bool
) -> Coroutine[Any, Any, None]:
    if only_listen or not meters:
        return listen(line, meters, catalog, _tell)
    others = [one.model for one in meters if catalog.serial_model(one.model) is not None]
    if others:
        carries(settings_of(line).kind, *others)
        return watch_serial(line, meters, catalog, every, _tell)
    return ask_in_turn(line, meters, catalog, every, _tell)


async def _for(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


def _tell(text: str) -> None:
    say(f"{datetime.now():%H:%M:%S.%f}"[:-3] + f"  {text}")  # noqa: DTZ005 - the clock on the engineer's wall


def _load_of(text: str, catalog: Catalog) -> Load:
    match = _LOAD.fullmatch(text.strip())
    if match is None or not int(match["meters"]) or match["count"] == "0":
        raise Misconfigured(
            f"--meters {text!r} is no load; write MODEL:COUNT or MODEL:COUNT@PERIOD, like eastron-sdm630:30@15m"
        )
    period = timedelta(seconds=int(match["count"]) * _UNITS[match["unit"]]) if match["count"] else timedelta(minutes=30)
    model = catalog.serial_model(match["model"]) or catalog.model(match["model"])
    return Load(model, int(match["meters"]), period)


def _costs(counted: Budget) -> Table:
    table = Table("model", "meters", "period", "reads", "a poll", "of the line", "a silent try", box=None)
    for cost in counted.costs:
        row = cost.load
        table.add_row(
            *(row.model.slug, str(row.meters), str(row.period), str(cost.reads)),
            *(f"{cost.seconds:.3f} s", f"{cost.share:.1%}", f"{cost.silence:.2f} s"),
        )
    return table


def _conclude(counted: Budget) -> None:
    say(f"All meters once: {counted.round_time:.1f} s; the schedule takes {counted.share:.1%} of the line.")
    if counted.dead:
        first, later = counted.dead_share
        tries, rare = counted.dead_tries
        say(
            f"{counted.dead} dead: tried {tries} times each in the first hour ({first:.1%} of the line), "
            f"then {rare} times an hour ({later:.1%})."
        )
    if counted.fits:
        say(f"It fits: below {BUSY_SHARE:.0%}, with room for repeats and questions.")
        return
    room = BUSY_SHARE - counted.dead_share[0]
    remedy = "split the line" if room <= 0 else f"make the periods {counted.share / room:.1f} times as long"
    say(f"It does not fit: more than {BUSY_SHARE:.0%}. Raise the speed, {remedy}, or read fewer registers.")
