"""The verbs of meters and lines on a line that may be polled meanwhile: its owner is asked, or nobody else speaks.

Storage is none of this floor's business: `amr` hands over a `Board` that knows who speaks where.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collectors.advice import advice
from collectors.catalog import Catalog
from collectors.cli_words import Given, errors, fail, run_to_end, say
from collectors.errands import found_of
from collectors.line_settings import settings_of
from collectors.registers import Words
from collectors.scan import Found
from ingest.errors import AmrError, Misconfigured, StoreUnavailable
from ingest.model import Line

_Result = TypeVar("_Result")

Name = Annotated[str | None, typer.Option("--line", help="A stored line by its name, instead of an address.")]
Direct = Annotated[
    bool, typer.Option("--direct", help="Ask no database who speaks on the line: nobody does, as you know.")
]


class Asked(Protocol):
    """The collector that polls a line."""

    def ask(self, kind: str, wanted: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]: ...


class Reached(Protocol):
    """A stored line, and its owner when a collector polls it."""

    @property
    def line(self) -> Line: ...

    @property
    def owner(self) -> Asked | None: ...


class HasBoard(Protocol):
    """What these verbs need of the settings in the context."""

    def reach(self, *, name: str | None, address: str | None) -> AbstractAsyncContextManager[Reached | None]: ...


@dataclass(frozen=True, slots=True)
class Way:
    """How to speak: on the line oneself (`owner` None) or through its owner."""

    line: Line
    owner: Asked | None


def on_line(
    board: HasBoard | None,
    name: str | None,
    given: Given,
    work: Callable[[Way], Coroutine[Any, Any, _Result]],
    *,
    direct: bool,
) -> _Result:
    """Do the work where the line can be spoken on; while it lasts nobody else begins to speak there.

    Whoever fails there is told what to try next, and the command ends with code 1.
    """
    if name is None:
        settings_of(given.line)

    async def advised(way: Way) -> _Result:
        try:
            return await work(way)
        except AmrError as error:
            settings = settings_of(way.line) if way.owner is None and error.code != Misconfigured.code else None
            raise fail(error, advice(error, settings)) from error

    async def reached() -> _Result:
        if direct or board is None:
            if given.address is None:
                raise Misconfigured("--direct needs --address: only the database knows where a stored line is")
            return await advised(Way(given.line, None))
        try:
            return await _reached(board, name, given, advised)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"{error}; so nobody can say whether a collector speaks on this line. When you know that none does, "
                "--direct with --address speaks all the same"
            ) from error

    return run_to_end(reached())


async def _reached(
    board: HasBoard, name: str | None, given: Given, work: Callable[[Way], Coroutine[Any, Any, _Result]]
) -> _Result:
    async with board.reach(name=name, address=given.stored_as) as found:
        if found is None:
            return await work(Way(given.line, None))
        line = given.over(found.line)
        settings_of(line)
        if found.owner is None:
            return await work(Way(line, None))
        errors.print(f"line {found.line.name} is polled: its collector is asked", highlight=False)
        return await work(Way(found.line, found.owner))


@dataclass(slots=True)
class Said:
    """What a meter said through the owner of its line: `facts`, `drift` and `rejects` of one that speaks no Modbus."""

    words: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, Decimal] = field(default_factory=dict)
    serial: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    drift: timedelta | None = None
    rejects: Sequence[str] = ()


async def read_through(owner: Asked, model: str, unit: str, *, serial: bool = False) -> Said:
    """One meter, whole; with `serial` it is asked who it is as well."""
    said = Said()
    async with aclosing(owner.ask("read", {"model": model, "unit": unit, "serial": serial})) as told:
        async for one in told:
            if "channel" in one:
                if one["words"] is not None:
                    said.words[one["channel"]] = bytes.fromhex(one["words"])
                if one["value"] is not None:
                    said.values[one["channel"]] = Decimal(one["value"])
            else:
                said.serial = one.get("serial")
                said.facts, said.rejects = one.get("facts", {}), one.get("rejects", ())
                said.drift = None if one.get("drift") is None else timedelta(seconds=one["drift"])
    return said


async def registers_through(owner: Asked, unit: int, function: int, asked: Sequence[tuple[int, int]]) -> Words:
    """Registers as they are, by wire address."""
    found: dict[int, bytes | None] = {}
    for first, count in asked:
        wanted = {"unit": unit, "function": function, "first": first, "count": count}
        async with aclosing(owner.ask("read", {"registers": wanted})) as told:
            async for one in told:
                found[int(one["register"])] = None if one["word"] is None else bytes.fromhex(one["word"])
    return found


async def scan_through(
    owner: Asked, units: str, timeout: float | None, catalog: Catalog, tell: Callable[[Found], None]
) -> int:
    """How many answered; each is told as it is found."""
    count = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("through the collector")
        async with aclosing(owner.ask("scan", {"units": units, "timeout": timeout})) as told:
            async for one in told:
                if "progress" in one:
                    progress.update(task, completed=one["progress"], total=one["of"])
                else:
                    count += 1
                    tell(found_of(one, catalog))
    return count


async def watch_through(owner: Asked, seconds: float | None) -> None:
    """Show the frames the collector exchanges, as it tells them."""
    async with aclosing(owner.ask("watch", {"seconds": seconds})) as told:
        async for one in told:
            at = datetime.fromisoformat(one["at"]).astimezone()
            say(f"{at:%H:%M:%S.%f}"[:-3] + f"  {one['text']}")
