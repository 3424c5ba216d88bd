"""`amr quarantine …`: what could not become a reading, looked at, brought in again or thrown away."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Protocol

import typer
from rich.table import Table
from rich.text import Text

from ingest.delivery import Fate
from ingest.errors import Misconfigured
from ingest.plain import plain
from storage import quarantine as stored
from storage import quarantine_room
from storage.cli_words import Author, HasStore, connection, console, moment, opened, run, say
from storage.held import Parse
from storage.quarantine import Which
from storage.replay import Replayed, replay

quarantine = typer.Typer(no_args_is_help=True, help="What came and could not become a reading: raw, with the reason.")

_Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Numbers from `amr quarantine list`.")]
_Reason = Annotated[str | None, typer.Option(help="Only of this reason, like unknown_meter.")]
_Meter = Annotated[str | None, typer.Option(help="Only of the meter with this serial number.")]
_Origin = Annotated[str | None, typer.Option(help="Only from where this begins, like mqtt:amr/v1/gw-7/")]

_TOGETHER = 10_000
_SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class HasParser(HasStore, Protocol):
    """What these verbs need of the settings beside the database."""

    def message_parser(self) -> Parse:
        """What understands MQTT messages, by the formats in use."""


@quarantine.command("list")
def list_pieces(
    context: typer.Context,
    reason: _Reason = None,
    meter: _Meter = None,
    origin: _Origin = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """What lies there, the last seen first, and how much there is of each reason."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            found = await stored.find(conn, Which(None, reason, meter, origin), limit=limit)
            summed = await stored.summary(conn)
            room, unkept = await quarantine_room.look(conn), await quarantine_room.unkept(conn)
        table = Table("id", "reason", "meter", "channel", "origin", "first", "last", "times", "detail", box=None)
        for one in found:
            facts = (one.reason, one.meter or "", one.channel or "", one.origin)
            times = (moment(one.first_at), moment(one.last_at), str(one.times))
            table.add_row(str(one.id), *map(_cell, facts), *times, _cell(one.detail))
        console.print(table)
        for sum_ in summed:
            say(f"{sum_.reason}: {sum_.rows} pieces, seen {sum_.times} times, last {moment(sum_.last_at)}")
        if not summed:
            say("the quarantine is empty")
        _tell_room(room)
        _tell_unkept(unkept)

    run(work())


@quarantine.command("show")
def show_piece(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="Number from `amr quarantine list`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Only what came, byte for byte, for a file or a pipe.")] = False,
) -> None:
    """One piece: where it came from, why it was refused, and what came."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            one, content = await stored.get(conn, number)
        if raw:
            sys.stdout.buffer.write(content)
            return
        road, _, place = one.origin.partition(":")
        for name, value in (
            ("reason", one.reason),
            ("detail", one.detail),
            ("topic" if road == "mqtt" else "origin", place if road == "mqtt" else one.origin),
            ("meter", one.meter or "not told"),
            ("channel", one.channel or "not told"),
            ("seen", f"{one.times} times, first {one.first_at.isoformat()}, last {one.last_at.isoformat()}"),
            ("bytes", str(one.size)),
        ):
            say(f"{name:8} {plain(value)}")
        say(plain(content.decode("utf-8", "backslashreplace"), keep="\n\t"))

    run(work())


@quarantine.command("replay")
def replay_pieces(
    context: typer.Context,
    ids: _Ids = None,
    reason: _Reason = None,
    meter: _Meter = None,
    origin: _Origin = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that lies there.")] = False,
) -> None:
    """Bring pieces in again, with their original times, after what was wrong is put right."""
    which = _chosen(ids, reason, meter, origin, everything)

    async def work() -> None:
        settings: HasParser = context.obj
        async with opened(settings) as database:
            tell_replayed(await replay(database, settings.message_parser(), which))

    run(work())


@quarantine.command("drop")
def drop_pieces(
    context: typer.Context,
    ids: _Ids = None,
    reason: _Reason = None,
    meter: _Meter = None,
    origin: _Origin = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that lies there.")] = False,
    author: Author = None,
) -> None:
    """Throw pieces away for good. How many of which reason they were is kept as an event."""
    which = _chosen(ids, reason, meter, origin, everything)

    async def work() -> None:
        count = 0
        async with opened(context.obj) as database:
            more = True
            while more:  # what comes meanwhile is not waited for: fewer than asked for were all there was
                async with database.connection() as conn:
                    gone = await stored.drop(conn, which, author, most=_TOGETHER)
                count += len(gone)
                more = len(gone) == _TOGETHER
        say(f"dropped {count}")
        if ids and count < len(set(ids)):
            say(f"{len(set(ids)) - count} of the numbers were not there")

    run(work())


@quarantine.command("room")
def show_room(
    context: typer.Context,
    rows: Annotated[int | None, typer.Option(help="Keep at most so many pieces.")] = None,
    size: Annotated[str | None, typer.Option("--bytes", help="Keep at most so much, like 512MiB or 2GiB.")] = None,
    settle: Annotated[bool, typer.Option("--settle", help="Take note of what was not kept; count anew.")] = False,
    author: Author = None,
) -> None:
    """How full the quarantine is; give it other limits."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            room = await quarantine_room.limit(conn, rows, None if size is None else _bytes(size))
            unkept = await quarantine_room.unkept(conn)
            settled = await quarantine_room.settle(conn, author) if settle else 0
        _tell_room(room, always=True)
        _tell_unkept(unkept)
        if settled:
            say("an event keeps these numbers; counting begins anew")

    run(work())


def tell_replayed(said: Replayed) -> None:
    """What became of the pieces, in words."""
    fates = {fate: said.fates[fate] for fate in (Fate.STORED, Fate.REPEATED, Fate.SUPERSEDED)}
    read = ", ".join(f"{fate.value} {count}" for fate, count in fates.items())
    profile = f", load profile intervals {said.intervals}" if said.intervals else ""
    say(f"tried {said.tried}, left the quarantine {said.left}; readings {read}, suspect {said.suspect}{profile}")
    for reason, count in sorted(said.stay.items()):
        say(f"stay: {reason} {count}")


def _cell(text: str) -> Text:
    return Text(plain(text))


def _chosen(
    ids: list[int] | None, reason: str | None, meter: str | None, origin: str | None, everything: bool
) -> Which:
    which = Which(ids or None, reason, meter, origin)
    if everything == (which != Which()):
        raise Misconfigured("name pieces by ID, --reason, --meter or --origin, or say --all")
    return which


def _bytes(text: str) -> int:
    number, unit = text, 1
    for name, factor in _SIZES.items():
        if text.endswith(name):
            number, unit = text[: -len(name)], factor
    if not number.strip().isdecimal():
        raise Misconfigured(f"--bytes {text!r} is no size; write a whole number with KiB, MiB or GiB, like 512MiB")
    return int(number) * unit


def _tell_room(room: quarantine_room.Room, *, always: bool = False) -> None:
    if always or room.level:
        say(
            f"{room.rows} of {room.most_rows} pieces, {room.bytes / (1 << 20):.1f} of {room.most_bytes / (1 << 20):.1f}"
            f" MiB: {room.share:.0%} full"
        )


def _tell_unkept(unkept: Sequence[quarantine_room.Unkept]) -> None:
    for one in unkept:
        say(
            f"NOT KEPT while the quarantine was full: {one.times} pieces by {one.road}, {one.reason}, "
            f"{moment(one.first_at)} to {moment(one.last_at)}, last from {plain(one.last_origin)}"
        )
