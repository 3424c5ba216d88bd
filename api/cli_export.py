"""`amr export …`: the files of the API, written by the command line of whoever runs the service.

Each verb loads its work when it is asked for: no other verb waits for spreadsheets, PDF and the API's schemas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

export = typer.Typer(no_args_is_help=True, help="Readings, consumption, statements, 80020 and Green Button as files.")

Points = Annotated[list[str] | None, typer.Option("--point", help="Code of a point; repeat it. Usually all.")]
From = Annotated[str, typer.Option("--from", help="First instant, or a date in the point's zone.")]
To = Annotated[str, typer.Option("--to", help="Instant or date after the last.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - writes to standard output.")]
Words = Annotated[str, typer.Option("--language", help="Of headings: ru or en.")]


@export.command("readings")
def export_readings_file(
    context: typer.Context,
    since: From,
    until: To,
    points: Points = None,
    channel: Annotated[str | None, typer.Option(help="OBIS code C.D.E; usually all.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or xlsx.")] = "csv",
    dialect: Annotated[str, typer.Option(help="Of CSV: plain, or excel.")] = "plain",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """Every reading of every source and quality, with what is known of it."""
    given = {"point": points or [], "from": since, "to": until, "format": form, "dialect": dialect, "channel": channel}
    from api.cli_exported import readings

    readings(context.obj, given, language, output)


@export.command("consumption")
def export_consumption_file(
    context: typer.Context,
    since: From,
    until: To,
    points: Points = None,
    step: Annotated[str, typer.Option(help="half-hour, hour, day, month or year.")] = "day",
    channel: Annotated[str, typer.Option(help="OBIS code of a counter.")] = "1.8.0",
    gaps: Annotated[str, typer.Option(help="missing, distribute or substitute.")] = "missing",
    form: Annotated[str, typer.Option("--format", help="csv or xlsx.")] = "csv",
    dialect: Annotated[str, typer.Option(help="Of CSV: plain, or excel.")] = "plain",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """Amounts by calendar steps, computed as the API computes them."""
    given = {"point": points or [], "from": since, "to": until, "step": step, "channel": channel, "gaps": gaps}
    given |= {"format": form, "dialect": dialect}
    from api.cli_exported import consumption

    consumption(context.obj, given, language, output)


@export.command("statement")
def export_statement(
    context: typer.Context,
    month: Annotated[str, typer.Argument(help="Like 2026-03.")],
    points: Points = None,
    channels: Annotated[list[str] | None, typer.Option("--channel", help="OBIS code; repeat it. Usually all.")] = None,
    form: Annotated[str, typer.Option("--format", help="xlsx or pdf.")] = "xlsx",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """The month's statement of readings, to print and to sign; AMR_COMPANY_NAME stands at its head."""
    given = {"point": points or [], "month": month, "format": form, "channel": channels or []}
    from api.cli_exported import statement

    statement(context.obj, given, language, output)


@export.command("80020")
def export_80020(
    context: typer.Context,
    day: Annotated[str, typer.Argument(help="The first day, like 2026-03-10.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days, a file each.")] = 1,
    points: Points = None,
    inn: Annotated[str | None, typer.Option(help="INN of the sender; usually AMR_COMPANY_INN.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sender; usually AMR_COMPANY_NAME.")] = None,
    area_inn: Annotated[str | None, typer.Option(help="Whose points these are; usually the sender's.")] = None,
    area_name: Annotated[str | None, typer.Option(help="The same by name.")] = None,
    zone: Annotated[str | None, typer.Option(help="The sender's clock; usually AMR_COMPANY_ZONE.")] = None,
    number: Annotated[str | None, typer.Option(help="Of the first message; usually one more every day.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path(),
) -> None:
    """Days of half-hours as 80020 messages."""
    given: dict[str, object] = {"point": points or [], "day": day, "inn": inn, "name": name, "zone": zone}
    given |= {"area_inn": area_inn, "area_name": area_name, "number": number}
    typed = {key: value for key, value in given.items() if value is not None}
    from api.cli_exported import messages_80020

    messages_80020(context.obj, typed, days, folder)


@export.command("green-button")
def export_green_button(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help="Code of the point.")],
    since: From,
    until: To,
    step: Annotated[str, typer.Option(help="half-hour, hour, day or month.")] = "hour",
    channel: Annotated[str, typer.Option(help="OBIS code of a counter.")] = "1.8.0",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """A point's consumption as Green Button data (NAESB ESPI)."""
    given = {"from": since, "to": until, "step": step, "channel": channel}
    from api.cli_exported import green_button

    green_button(context.obj, point, given, language, output)
