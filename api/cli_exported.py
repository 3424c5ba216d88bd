"""The work of `amr export …`, apart from its verbs: what it imports costs a second, which no other verb shall pay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from api import export_consumption, export_readings
from api.cli_files import Use, said, write_file
from api.company import Company
from api.context import ApiSettings
from api.doorkeeper import Caller, Role
from api.export_consumption import consumption_rows
from api.export_readings import reading_rows
from api.export_selection import Pages
from api.exports import ConsumptionFile, ReadingsFile, table_file
from api.green_button_routes import UsageQuery, usage
from api.problems import invalid
from api.statement import Statement, rows
from api.statement_routes import FORMATS, StatementQuery
from api.texts import Language
from api.validation import faults_of
from api.xml80020_export import day_message
from api.xml80020_routes import DayQuery
from ingest.errors import Misconfigured
from storage.cli_words import HasStore

_STAFF = Caller("amr export", Role.ADMIN, None)
_Model = TypeVar("_Model", bound=BaseModel)
Given = Mapping[str, object]
"""What was typed, by the names of the API's parameters."""


class HasCompany(HasStore, Protocol):
    """What these verbs need of the settings in the context."""

    def company(self) -> Company: ...

    def api(self) -> ApiSettings: ...


def readings(settings: HasCompany, given: Given, language: str, output: Path | None) -> None:
    """Write every reading that is asked for."""
    query, words = _asked(ReadingsFile, given), _language(language)

    def pieces(pages: Pages) -> AsyncIterator[bytes]:
        batches = reading_rows(pages, _STAFF, query.points, query.channel, (query.since, query.until))
        return table_file(export_readings.COLUMNS, batches, query.format, query.dialect, words)

    write_file(settings, Use("exportReadings", given), pieces, output or Path(f"readings.{query.format}"))


def consumption(settings: HasCompany, given: Given, language: str, output: Path | None) -> None:
    """Write amounts by calendar steps."""
    query, words = _asked(ConsumptionFile, given), _language(language)
    chosen = settings.api()
    most, now = chosen.interval_limit, datetime.now(UTC)

    def pieces(pages: Pages) -> AsyncIterator[bytes]:
        batches = consumption_rows(pages, _STAFF, query.points, query, most, now, chosen.policy)
        return table_file(export_consumption.COLUMNS, batches, query.format, query.dialect, words)

    write_file(settings, Use("exportConsumption", given), pieces, output or Path(f"consumption.{query.format}"))


def statement(settings: HasCompany, given: Given, language: str, output: Path | None) -> None:
    """Write the month's statement."""
    query, company = _asked(StatementQuery, given), settings.company()
    made, policy = datetime.now(company.zone).date(), settings.api().policy
    asked = Statement(query.month, company.name, _language(language), made, tuple(query.channels), policy)
    write, _ = FORMATS[query.format]
    write_file(
        settings,
        Use("exportStatement", given),
        lambda pages: write(asked, rows(pages, _STAFF, query.points, asked)),
        output or Path(f"statement-{query.month:%Y-%m}.{query.format}"),
    )


def messages_80020(settings: HasCompany, given: Given, days: int, folder: Path) -> None:
    """Write one message for each day from the one that is given."""
    first = _asked(DayQuery, given)
    for count in range(days):
        query = first.model_copy(update={"day": first.day + timedelta(days=count)})
        if first.number is not None:
            query = query.model_copy(update={"number": first.number + count})
        with said():
            message = query.message(settings.company(), datetime.now(UTC))
        make = partial(day_message, caller=_STAFF, codes=query.points, message=message, policy=settings.api().policy)
        asked = {**given, "day": query.day, "number": query.number}
        write_file(settings, Use("export80020", asked), make, folder / message.filename)


def green_button(settings: HasCompany, point: str, given: Given, language: str, output: Path | None) -> None:
    """Write a point's consumption as an ESPI feed."""
    query, words = _asked(UsageQuery, given), _language(language)
    chosen = settings.api()
    most, now = chosen.interval_limit, datetime.now(UTC)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in point)
    write_file(
        settings,
        Use("getGreenButton", given, point),
        lambda pages: usage(pages, _STAFF, point, query, words, most, now, chosen.policy),
        output or Path(f"green-button-{name}.xml"),
    )


def _asked(model: type[_Model], given: Given) -> _Model:
    """What was typed, checked as the API checks it. Misconfigured names the option, the value and the remedy."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = invalid(*faults_of(error.errors()))
        raise Misconfigured(str(problem.render("en")["detail"])) from error


def _language(text: str) -> Language:
    if text == "ru":
        return "ru"
    if text == "en":
        return "en"
    raise Misconfigured(f"--language {text!r}: write ru or en")
