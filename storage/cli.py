"""The verbs of the database: `amr migrate`, `amr fleet …`, `amr token …`, `amr meter exchange|ratio`."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from ingest.channel import check_channel
from ingest.errors import Misconfigured, NotFound
from ingest.model import Installation, Line
from storage import exchange as history
from storage import fleet as stored_fleet
from storage import migrate as migrations
from storage import tokens
from storage.database import Database, DatabaseSettings, open_database
from storage.fleet_difference import place_of, show_number
from storage.fleet_model import Mentioned, Models
from storage.fleet_stored import load

fleet = typer.Typer(no_args_is_help=True, help="Points, meters, installations, lines and contracts, as a TOML file.")
token = typer.Typer(no_args_is_help=True, help="Access tokens of the HTTP API.")

_console = Console()
_notes = Console(stderr=True)


class HasStore(Protocol):
    """What these verbs need of the settings in the context."""

    @property
    def database(self) -> DatabaseSettings: ...

    def models(self) -> Models: ...

    def check_line(self, line: Line) -> object: ...


_At = Annotated[
    str, typer.Option(metavar="WHEN", help="A date (00:00 in the point's zone) or like 2026-11-20T14:30+04:00.")
]
_Ct = Annotated[str | None, typer.Option(help="Current transformer ratio from then on; left out, as before.")]
_Vt = Annotated[str | None, typer.Option(help="Voltage transformer ratio from then on; left out, as before.")]
_Author = Annotated[str | None, typer.Option(help="Who says so, for the record.")]


def migrate(context: typer.Context) -> None:
    """Bring the database up to this version; safe at any time and from several processes."""

    async def work() -> None:
        async with open_database(context.obj.database) as database:
            applied = await migrations.migrate(database)
        _console.print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")

    _run(work())


@fleet.command("apply")
def apply_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Fleet file, TOML.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, change nothing.")] = False,
    author: _Author = None,
) -> None:
    """Make the stored fleet what FILE says. What the file does not name is left alone; nothing is deleted."""
    settings: HasStore = context.obj
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{file} cannot be read: {e}; give the path of a fleet file, TOML in UTF-8") from e

    async def work() -> None:
        async with _connection(settings) as conn:
            difference = await stored_fleet.apply(
                conn, text, settings.models(), dry_run=dry_run, check_line=settings.check_line, author=author
            )
        _say(difference.text())
        if dry_run:
            _say("dry run: nothing was changed")

    _run(work())


@fleet.command("export")
def export_file(
    context: typer.Context,
    registers: Annotated[bool, typer.Option("--registers", help="Write the catalogue's registers out too.")] = False,
) -> None:
    """Write the stored fleet as TOML that applies back without a difference."""

    async def work() -> None:
        async with _connection(context.obj) as conn:
            typer.echo(await stored_fleet.export(conn, {} if registers else context.obj.models()), nl=False)

    _run(work())


@fleet.command("show")
def show_fleet(context: typer.Context) -> None:
    """Every point with the meter that stands there now."""

    async def work() -> None:
        async with _connection(context.obj) as conn:
            rows = await stored_fleet.show(conn)
        table = Table("point", "name", "zone", "meter", "model", "reached by", "K", "since", "last answer", box=None)
        for row in rows:
            table.add_row(
                row.point or "-",
                row.name,
                row.zone,
                row.meter or "no meter",
                row.model,
                _road(row),
                "" if row.ratio is None else show_number(row.ratio),
                _moment(row.since),
                row.failure or _moment(row.answered_at),
            )
        _console.print(table)

    _run(work())


@token.command("create")
def create_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    role: Annotated[str, typer.Option(help=f"One of {', '.join(tokens.ROLES)}.")],
    consumer: Annotated[str | None, typer.Option(help="Whose points a consumer's token shows.")] = None,
    expires: Annotated[str | None, typer.Option(help="Like 90d, 2027-01-01 (UTC) or 2027-01-01T00:00+03:00.")] = None,
) -> None:
    """Make a token and print it: it cannot be shown again."""
    expires_at = None if expires is None else _expiry(expires)

    async def work() -> None:
        async with _connection(context.obj) as conn:
            text = await tokens.create(conn, name, role, consumer=consumer, expires_at=expires_at)
        typer.echo(text)
        _notes.print("keep it: only its hash is stored", highlight=False)

    _run(work())


@token.command("revoke")
def revoke_token(context: typer.Context, name: Annotated[str, typer.Argument(help="As it was created.")]) -> None:
    """Put a token out of force."""

    async def work() -> None:
        async with _connection(context.obj) as conn:
            await tokens.revoke(conn, name)
        _say(f"token {name} is revoked")

    _run(work())


@token.command("list")
def list_tokens(context: typer.Context) -> None:
    """Every token: its name, role and dates, never itself."""

    async def work() -> None:
        async with _connection(context.obj) as conn:
            found = await tokens.every(conn)
        table = Table("name", "role", "consumer", "created", "expires", "revoked", box=None)
        for one in found:
            dates = (_moment(one.created_at), _moment(one.expires_at), _moment(one.revoked_at))
            table.add_row(one.name, one.role, one.consumer, *dates)
        _console.print(table)

    _run(work())


def exchange_meter(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help="Code of the point.")],
    serial: Annotated[str, typer.Argument(metavar="NEW_SERIAL", help="Serial number of the new meter.")],
    at: _At,
    closing: Annotated[list[str], typer.Option(metavar="CHANNEL=VALUE", help="Last reading of the old meter.")],
    opening: Annotated[list[str], typer.Option(metavar="CHANNEL=VALUE", help="First reading of the new one.")],
    model: Annotated[str | None, typer.Option(help="Model of the new meter, if it is not stored yet.")] = None,
    line: Annotated[str | None, typer.Option(help="Line of the new meter; left out, the old one's.")] = None,
    address: Annotated[str | None, typer.Option(help="Its address there; left out, the old one's.")] = None,
    gateway: Annotated[str | None, typer.Option(help="Gateway that delivers for it instead.")] = None,
    ct: _Ct = None,
    vt: _Vt = None,
    author: _Author = None,
) -> None:
    """Exchange the meter at POINT for another one, with its closing and opening readings."""
    settings: HasStore = context.obj
    models = settings.models()
    if model is not None and model not in models:
        raise Misconfigured(f"model {model!r} is not in the catalogue; known are {', '.join(sorted(models))}")
    new = history.Replacement(
        serial, _values("opening", opening), model, tuple(models.get(model or "", ())), line, address, gateway
    )

    async def work() -> None:
        async with _connection(settings) as conn:
            ended, begun = await history.exchange(
                conn,
                point,
                await _instant(conn, point, at),
                _values("closing", closing),
                new,
                ct=_ratio("ct", ct),
                vt=_ratio("vt", vt),
                author=author,
            )
        _report(ended, begun)

    _run(work())


def change_ratio(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help="Code of the point.")],
    at: _At,
    reading: Annotated[list[str], typer.Option(metavar="CHANNEL=VALUE", help="What the meter showed then.")],
    ct: _Ct = None,
    vt: _Vt = None,
    author: _Author = None,
) -> None:
    """Give the meter at POINT other transformer ratios from WHEN on."""

    async def work() -> None:
        async with _connection(context.obj) as conn:
            ended, begun = await history.change_ratio(
                conn,
                point,
                await _instant(conn, point, at),
                _values("reading", reading),
                ct=_ratio("ct", ct),
                vt=_ratio("vt", vt),
                author=author,
            )
        _report(ended, begun)

    _run(work())


@contextlib.asynccontextmanager
async def _connection(settings: HasStore) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """One transaction; an embedded database is brought up to date first, a configured one is its owner's business."""
    async with open_database(settings.database) as database:
        await _prepare(database, settings)
        async with database.connection() as conn:
            yield conn


async def _prepare(database: Database, settings: HasStore) -> None:
    if settings.database.url is None:
        await migrations.migrate(database)


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def _report(ended: Installation, begun: Installation) -> None:
    assert ended.until is not None
    _say(f"ended {place_of(ended)}, with {_shown(ended.closing)}, K {show_number(ended.ratio)}")
    _say(f"began {place_of(begun)}, with {_shown(begun.opening)}, K {show_number(begun.ratio)}")


def _shown(values: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{channel} = {show_number(value)}" for channel, value in values.items()) or "no readings"


def _road(row: stored_fleet.Shown) -> str:
    if row.meter is None:
        return ""
    if row.line is not None:
        return f"{row.line}/{row.address}"
    return "people" if row.gateway is None else f"gateway {row.gateway}"


def _moment(instant: datetime | None) -> str:
    return "" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


def _values(option: str, given: list[str]) -> dict[str, Decimal]:
    """Option values like 1.8.0=12345.6 by channel."""
    found: dict[str, Decimal] = {}
    for one in given:
        channel, equals, text = one.partition("=")
        try:
            number = Decimal(text.strip())
            check_channel(channel.strip())
        except (InvalidOperation, ValueError) as e:
            raise Misconfigured(f"--{option} {one!r} is no reading; write CHANNEL=VALUE like 1.8.0=12345.6") from e
        if not equals or not number.is_finite() or channel.strip() in found:
            raise Misconfigured(f"--{option} {one!r}: write each channel once, like 1.8.0=12345.6")
        found[channel.strip()] = number
    return found


def _ratio(option: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation as e:
        raise Misconfigured(f"--{option} {text!r} is no ratio; write a number like 40") from e
    if not number.is_finite() or number <= 0:
        raise Misconfigured(f"--{option} {text!r} is no ratio; write a number above zero, like 40")
    return number


async def _instant(conn: psycopg.AsyncConnection[Any], code: str, text: str) -> datetime:
    """A date at 00:00 in the point's zone, or an instant with its offset."""
    points = (await load(conn, Mentioned(frozenset(), frozenset({code}), frozenset()))).points
    if code not in points:
        raise NotFound(f"there is no point {code!r}; `amr fleet show` lists them")
    return _parsed("at", text, points[code].tz)


def _expiry(text: str) -> datetime:
    if match := re.fullmatch(r"(\d{1,5})d", text, re.ASCII):
        return datetime.now(UTC) + timedelta(days=int(match[1]))
    return _parsed("expires", text, ZoneInfo("UTC"))


def _parsed(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        if len(text) == len("2026-11-20"):
            return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
        instant = datetime.fromisoformat(text)
    except ValueError as e:
        raise Misconfigured(
            f"--{option} {text!r} is no instant; write a date like 2026-11-20, or 2026-11-20T14:30+04:00"
        ) from e
    if instant.utcoffset() is None:
        raise Misconfigured(f"--{option} {text!r} has no time zone; write it with its offset, like {text}+04:00")
    return instant.astimezone(UTC)
