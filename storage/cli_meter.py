"""`amr meter exchange` and `amr meter ratio`: history made at a point."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import psycopg
import typer

from ingest.errors import Misconfigured, NotFound
from ingest.model import Installation
from storage import exchange as history
from storage.cli_words import Author, HasStore, connection, parsed, run, say, values
from storage.fleet_model import Mentioned
from storage.fleet_stored import load
from storage.fleet_words import place_of, show_number

_At = Annotated[
    str, typer.Option(metavar="WHEN", help="A date (00:00 in the point's zone) or like 2026-11-20T14:30+04:00.")
]
_Ct = Annotated[str | None, typer.Option(help="Current transformer ratio from then on; left out, as before.")]
_Vt = Annotated[str | None, typer.Option(help="Voltage transformer ratio from then on; left out, as before.")]


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
    verified_until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Last day of its verification, like 2031-05-01.")
    ] = None,
    ct: _Ct = None,
    vt: _Vt = None,
    author: Author = None,
) -> None:
    """Exchange the meter at POINT for another one, with its closing and opening readings."""
    settings: HasStore = context.obj
    models = settings.models()
    if model is not None and model not in models:
        raise Misconfigured(f"model {model!r} is not in the catalogue; known are {', '.join(sorted(models))}")
    new = history.Replacement(
        serial,
        values("opening", opening),
        model,
        tuple(models.get(model or "", ())),
        line,
        address,
        gateway,
        _day("verified-until", verified_until),
    )

    async def work() -> None:
        async with connection(settings) as conn:
            ended, begun = await history.exchange(
                conn,
                point,
                await _instant(conn, point, at),
                values("closing", closing),
                new,
                ct=ratio("ct", ct),
                vt=ratio("vt", vt),
                author=author,
            )
        _report(ended, begun)

    run(work())


def change_ratio(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help="Code of the point.")],
    at: _At,
    reading: Annotated[list[str], typer.Option(metavar="CHANNEL=VALUE", help="What the meter showed then.")],
    ct: _Ct = None,
    vt: _Vt = None,
    author: Author = None,
) -> None:
    """Give the meter at POINT other transformer ratios from WHEN on."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            ended, begun = await history.change_ratio(
                conn,
                point,
                await _instant(conn, point, at),
                values("reading", reading),
                ct=ratio("ct", ct),
                vt=ratio("vt", vt),
                author=author,
            )
        _report(ended, begun)

    run(work())


def _report(ended: Installation, begun: Installation) -> None:
    assert ended.until is not None
    say(f"ended {place_of(ended)}, with {_shown(ended.closing)}, K {show_number(ended.ratio)}")
    say(f"began {place_of(begun)}, with {_shown(begun.opening)}, K {show_number(begun.ratio)}")


def _shown(values: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{channel} = {show_number(value)}" for channel, value in values.items()) or "no readings"


async def _instant(conn: psycopg.AsyncConnection[Any], code: str, text: str) -> datetime:
    """A date at 00:00 in the point's zone, or an instant with its offset."""
    points = (await load(conn, Mentioned(frozenset(), frozenset({code}), frozenset()))).points
    if code not in points:
        raise NotFound(f"there is no point {code!r}; `amr fleet show` lists them")
    return parsed("at", text, points[code].tz)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as e:
        raise Misconfigured(f"--{option} {text!r} is no day; write it like 2031-05-01") from e


def ratio(option: str, text: str | None) -> Decimal | None:
    """A transformer ratio as typed: a number above zero; None when the option was left out."""
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation as e:
        raise Misconfigured(f"--{option} {text!r} is no ratio; write a number like 40") from e
    if not number.is_finite() or number <= 0:
        raise Misconfigured(f"--{option} {text!r} is no ratio; write a number above zero, like 40")
    return number
