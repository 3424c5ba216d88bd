"""`amr meter unknown`, `amr meter foreign`, `amr meter adopt`: meters that speak and are not let in."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.table import Table
from rich.text import Text

from ingest.channel import unit_of
from ingest.errors import Misconfigured
from ingest.plain import plain
from storage.adoption import Adoption, adopt
from storage.cli_meter import ratio
from storage.cli_words import Author, connection, console, moment, opened, parsed, run, say, values
from storage.fleet_model import Mentioned
from storage.fleet_stored import load
from storage.fleet_words import show_number
from storage.quarantine_cli import HasParser, tell_replayed
from storage.unknown_meters import FOREIGN, UNKNOWN, Stranger, strangers

_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


def unknown_meters(context: typer.Context, limit: _Limit = 100) -> None:
    """Meters that speak and are not in the fleet, with their last values."""
    run(_list(context.obj, UNKNOWN, limit))


def foreign_meters(context: typer.Context, limit: _Limit = 100) -> None:
    """Meters of the fleet that a gateway spoke for which is not theirs, with the values it gave."""
    run(_list(context.obj, FOREIGN, limit))


def adopt_meter(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="Serial number, as `amr meter unknown` lists it.")],
    point: Annotated[str, typer.Option(help="Code of the point where it stands.")],
    model: Annotated[str, typer.Option(help="Its model, one of the catalogue's.")],
    gateway: Annotated[
        str | None, typer.Option(help="Gateway that delivers for it; default: the one that did.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="When it was put up; default: its first reading here.")] = None,
    ct: Annotated[str | None, typer.Option(help="Current transformer ratio.")] = None,
    vt: Annotated[str | None, typer.Option(help="Voltage transformer ratio.")] = None,
    opening: Annotated[list[str] | None, typer.Option(metavar="CHANNEL=VALUE", help="What it showed then.")] = None,
    zone: Annotated[str | None, typer.Option(help="Make the point, in this time zone, if there is none.")] = None,
    author: Author = None,
) -> None:
    """Add an unknown meter, put it up at a point, and bring in what it said so far."""
    settings: HasParser = context.obj

    async def work() -> None:
        async with opened(settings) as database:
            begun = None
            if since is not None:
                async with database.connection() as conn:
                    there = await load(conn, Mentioned(frozenset(), frozenset({point}), frozenset()))
                begun = parsed("since", since, there.points[point].tz if point in there.points else _zone(zone))
            ratios = (ratio("ct", ct) or Decimal(1), ratio("vt", vt) or Decimal(1))
            first = values("opening", opening or [])
            wish = Adoption(serial, point, model, gateway, begun, *ratios, first, zone)
            adopted = await adopt(database, settings.message_parser(), settings.models(), wish, author=author)
        by = "by nobody" if adopted.gateway is None else f"by gateway {adopted.gateway}"
        if adopted.changed:
            say(f"{serial} stands at {point} since {adopted.since.isoformat()}, delivered {by}")
        else:
            say(f"{serial} stood at {point} already")
        tell_replayed(adopted.replayed)

    run(work())


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(f"--zone {name!r} is not a time zone of the IANA database; write Europe/Samara") from error


async def _list(settings: HasParser, reason: str, limit: int) -> None:
    async with connection(settings) as conn:
        found = await strangers(conn, settings.message_parser(), reason, limit=limit)
    table = Table("meter", "spoken for by", "belongs to", "first", "last", "times", "last values", box=None)
    for one in found:
        table.add_row(
            Text(plain(one.meter)),
            Text(plain(", ".join(one.gateways) or ", ".join(one.origins))),
            Text(_owner(one)),
            moment(one.first_at),
            moment(one.last_at),
            str(one.times),
            Text(plain(_values(one), keep="\n")),
        )
    console.print(table)
    if not found:
        say("nobody")


def _owner(one: Stranger) -> str:
    if not one.known:
        return "not in the fleet"
    return f"gateway {one.owner}" if one.owner else "the fleet; replay"


def _values(one: Stranger) -> str:
    return "\n".join(
        f"{channel} = {show_number(reading.value)} {unit_of(channel)}, {moment(reading.taken_at)}"
        for channel, reading in one.values.items()
    )
