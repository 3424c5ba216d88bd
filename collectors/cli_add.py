"""`amr meter add`: read the meter first, let a person compare it with its display, then store it at its point.

Storage is none of this floor's business: what is to be stored goes as a fleet file to a `Desk` that `amr` gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Protocol

import typer

from collectors.advice import advice
from collectors.catalog import Catalog, load_catalog
from collectors.cli_meter import values_table
from collectors.cli_owned import Asked, Reached, read_through
from collectors.cli_serial import Password, carries, values_of
from collectors.cli_words import Baud, Kind, Parity, console, fail, given_line, run_to_end, say
from collectors.fit import doubts, valued
from collectors.identity import same_serial
from collectors.line_settings import settings_of
from collectors.modbus import ModbusLink
from collectors.serial_kit import read_once as read_serial_once
from collectors.serial_link import SerialLink
from ingest.channel import is_counter
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line, Polled


class Desk(Protocol):
    """Where the fleet is kept."""

    def line(self, name: str) -> AbstractAsyncContextManager[Reached | None]:
        """The stored line with its owner, None when there is none; a free one stays so inside the block."""
        ...

    async def has_point(self, code: str) -> bool: ...

    async def check(self, text: str) -> None:
        """Read a fleet file and change nothing; raises what is wrong with it."""
        ...

    async def add(self, text: str, author: str | None) -> str:
        """Apply a fleet file; what became different, in words."""
        ...


class HasDesk(Protocol):
    """What this verb needs of the settings in the context."""

    @property
    def catalog(self) -> Path | None: ...

    def desk(self) -> AbstractAsyncContextManager[Desk]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be added. `serial` None: as the meter says. `line` is the name of a stored line or of a new one."""

    point: str
    line: str
    unit: str
    model: str
    serial: str | None
    zone: str
    period: str
    ct: str
    vt: str
    password: str | None = field(default=None, repr=False)

    @property
    def options(self) -> dict[str, object]:
        """What is stored with the meter beside its address."""
        return {} if self.password is None else {"password": self.password}


@dataclass(frozen=True, slots=True)
class Read:
    """A meter as it was read: what it says its number is, its words, its values, and when."""

    serial: str | None
    words: dict[str, bytes]
    values: dict[str, Decimal]
    at: datetime


def add_meter(
    context: typer.Context,
    point: Annotated[str, typer.Option(help="Code of the metering point; a new one is made in the zone given.")],
    line: Annotated[str, typer.Option(help="Name of the line; a new one is made at the address given.")],
    model: Annotated[str, typer.Option(help="As `amr catalog list` names it.")],
    unit: Annotated[str, typer.Option(help="The meter's Modbus unit id, Меркурий or IEC 62056-21 address.")] = "1",
    address: Annotated[str | None, typer.Option(help="Of a new line: host:port, or the serial port's device.")] = None,
    kind: Kind = None,
    baud: Baud = None,
    parity: Parity = None,
    serial: Annotated[str | None, typer.Option(help="As on the label; left out, as the meter says.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of a new point.")] = "Europe/Moscow",
    period: Annotated[str, typer.Option(help="How often to read it, like 30m.")] = "30m",
    ct: Annotated[str, typer.Option(help="Current transformer ratio.")] = "1",
    vt: Annotated[str, typer.Option(help="Voltage transformer ratio.")] = "1",
    password: Password = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: somebody has compared the values already.")] = False,
    author: Annotated[str | None, typer.Option(help="Who says so, for the record.")] = None,
) -> None:
    """Read a meter, show it for comparison with its display, and store it at its point with the opening reading."""
    wanted = Wanted(point, line, unit, model, serial, zone, period, ct, vt, password)
    given = given_line(address, kind, baud=baud, parity=parity)
    try:
        run_to_end(_add(context.obj, wanted, None if address is None else given.line, yes, author))
    except AmrError as error:
        raise fail(error) from error


async def _add(settings: HasDesk, wanted: Wanted, new: Line | None, yes: bool, author: str | None) -> None:
    catalog = load_catalog(settings.catalog)
    serial = catalog.serial_model(wanted.model)
    async with settings.desk() as desk:
        async with desk.line(wanted.line) as reached:
            stored = None if reached is None else reached.line
            line = _line(wanted.line, stored, new)
            made, new_point = None if stored else line, not await desk.has_point(wanted.point)
            # what is wrong with the options is said before anybody goes and compares displays
            unread = Read(None, {}, {}, datetime.now(UTC))
            await desk.check(addition(wanted, wanted.serial or "0", unread, made, new_point=new_point))
            read = await _read(line, None if reached is None else reached.owner, catalog, wanted)
        number = _number(wanted.serial, read.serial)
        say(f"serial number {number}" + ("" if read.serial else " (as given: the meter does not state one)"))
        console.print(
            values_of(serial, read.values) if serial else values_table(catalog.model(wanted.model), read.words)
        )
        for doubt in doubts(read.values):
            say(f"doubtful: {doubt}; is the model right?")
        if not yes:
            typer.confirm("Is this what label and display show?", abort=True)
        say(await desk.add(addition(wanted, number, read, made, new_point=new_point), author))


async def _read(line: Line, owner: Asked | None, catalog: Catalog, wanted: Wanted) -> Read:
    """The meter, by whoever may ask it. Whoever fails is told what to try next, and the command ends."""
    try:
        if owner is not None:
            return await _read_by_owner(owner, wanted)
        if catalog.serial_model(wanted.model):
            carries(settings_of(line).kind, wanted.model)
            return await _read_serial(line, catalog, wanted)
        return await read_once(ModbusLink(line, catalog), wanted)
    except AmrError as error:
        settings = settings_of(line) if owner is None and error.code != Misconfigured.code else None
        raise fail(error, advice(error, settings)) from error


async def _read_by_owner(owner: Asked, wanted: Wanted) -> Read:
    """The same through the collector that polls the line: nobody else may speak there."""
    say(f"line {wanted.line} is polled: its collector is asked")
    if wanted.password is not None:
        raise Misconfigured(
            "a password is not handed to the collector this way; store it on the line (options.password) with "
            "`amr fleet apply`, or stop `amr collect` meanwhile"
        )
    said = await read_through(owner, wanted.model, wanted.unit, serial=True)
    for name, value in said.facts.items():
        say(f"{name}: {value}")
    return Read(said.serial, said.words, said.values, datetime.now(UTC))


async def read_once(link: ModbusLink, wanted: Wanted) -> Read:
    """Open the line, read the meter whole, hang up."""
    meter = Polled(f"unit {wanted.unit}", wanted.model, wanted.unit, timedelta(minutes=30))
    try:
        await link.open()
        serial = await link.serial(meter)
        words = await link.words(meter)
        return Read(serial, words, valued(link.model_of(meter), words), datetime.now(UTC))
    finally:
        await link.close()


async def _read_serial(line: Line, catalog: Catalog, wanted: Wanted) -> Read:
    """The same of a meter with a protocol of its own; what it says of itself is shown beside its card."""
    unchecked = replace(line, options={**line.options, "check_serial": False})
    name, period = f"{wanted.model} {wanted.unit}", timedelta(minutes=30)
    meter = Polled(name, wanted.model, wanted.unit, period, wanted.zone, wanted.options)
    answer, facts = await read_serial_once(SerialLink(unchecked, catalog), meter)
    for name, value in facts.items():
        say(f"{name}: {value}")
    return Read(answer.serial, {}, dict(answer.values), datetime.now(UTC))


def addition(wanted: Wanted, serial: str, read: Read, line: Line | None, *, new_point: bool) -> str:
    """The fleet file of what is new: line and point if they are, the meter, and its installation from now on."""
    opening = {channel: f"{value:f}" for channel, value in read.values.items() if is_counter(channel)}
    tables: list[tuple[str, Mapping[str, object]]] = []
    if line is not None:
        settings = {"options": dict(line.options)} if line.options else {}
        tables.append(("line", {"name": line.name, "kind": line.kind, "address": line.address, **settings}))
    if new_point:
        tables.append(("point", {"code": wanted.point, "zone": wanted.zone}))
    reached = {"line": wanted.line, "address": wanted.unit, "period": wanted.period}
    options = {"options": wanted.options} if wanted.options else {}
    tables.append(("meter", {"serial": serial, "model": wanted.model, **reached, **options}))
    ratios = {"ct": wanted.ct, "vt": wanted.vt}
    standing = {"point": wanted.point, "meter": serial, "since": read.at.replace(microsecond=0), **ratios}
    tables.append(("installation", {**standing, "opening": opening}))
    return "\n".join(_table(name, fields) for name, fields in tables)


def _line(name: str, stored: Line | None, new: Line | None) -> Line:
    if stored is not None and new is not None and (stored.kind, stored.address) != (new.kind, new.address):
        raise Misconfigured(
            f"line {name!r} is stored already, {stored.kind} at {stored.address}; leave --address out, "
            "or take another name"
        )
    if stored is not None:
        return stored
    if new is None:
        raise Misconfigured(f"line {name!r} is not stored; say where it is with --address and --kind")
    return Line(name, new.kind, new.address, new.options)


def _number(given: str | None, said: str | None) -> str:
    """The number on the label counts, if the meter does not contradict it."""
    if given is None and said is None:
        raise Misconfigured("the meter does not state its serial number; write what its label says with --serial")
    if given is not None and said is not None and not same_serial(given, said):
        raise Misconfigured(
            f"the meter says it is {said}, not {given}; look at the label again, and at --unit and --line; if this "
            "model's register holds another number, set check_serial = false in the line's options"
        )
    return given or said or ""


def _table(name: str, fields: Mapping[str, object]) -> str:
    return "\n".join([f"[[{name}]]", *(f"{key} = {_value(value)}" for key, value in fields.items()), ""])


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_value(str(key))} = {_value(one)}" for key, one in value.items()) + "}"
    return value.isoformat() if isinstance(value, datetime) else json.dumps(value, ensure_ascii=False)
