"""`amr import`: readings from CSV, and 80020 messages of other companies with every row that was not taken named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TextIO

from api.cli_files import pages_of
from api.company import Company, zone_of
from api.xml80020_files import LARGEST_WHOLE, xml_files
from api.xml80020_import import MOST_NAMED, Report, take_file
from ingest.csv_file import deliveries
from ingest.delivery import Fate
from ingest.errors import Malformed, Misconfigured
from ingest.intake import Intake
from ingest.model import Quality
from storage.cli_words import say
from storage.database import Database

SUFFIXES = (".xml", ".zip")


async def import_80020(
    database: Database, intake: Intake, file: Path, company: Company, zone: str | None, *, all_values: bool
) -> None:
    """Import one XML file, or a zip of many, and say what became of each.

    Raises Misconfigured for a file that cannot be opened, Malformed at the end when one could not be read.
    """
    raw = await asyncio.to_thread(_read, file)
    usual = company.zone if zone is None else zone_of("--zone", zone)
    unread = 0
    opened = xml_files(file.name, raw)
    while (one := await asyncio.to_thread(next, opened, None)) is not None:
        senders = company.senders if zone is None else {}
        report = await take_file(pages_of(database), intake, one, senders, usual, all_values=all_values)
        _tell(report)
        unread += report.error is not None
    if unread:
        raise Malformed(f"{unread} files could not be read; everything else is stored, and importing again is harmless")


def open_csv(file: Path) -> TextIO:
    """The CSV file to import; a row that is no UTF-8 is refused by itself. Misconfigured when it cannot be opened."""
    try:
        return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}; give the path of a CSV file") from error


async def import_csv(intake: Intake, text: TextIO, name: str) -> None:
    """Import the readings of a CSV file called `name`, and say how many met which fate."""
    counts = dict.fromkeys(("stored", "superseded", "repeated", "suspect", "quarantined"), 0)
    for delivery in deliveries(text, name):
        outcome = await intake.accept(delivery)
        for fate, count in outcome.counts().items():
            counts[fate.value] += count
        counts["quarantined"] += outcome.rejected
        counts["suspect"] += sum(
            verdict.quality is Quality.SUSPECT and verdict.fate is not Fate.QUARANTINED for verdict in outcome.verdicts
        )
    say(", ".join(f"{name} {count}" for name, count in counts.items()))
    if counts["quarantined"]:
        say("what was quarantined, and why: amr quarantine list")


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_WHOLE:
            raise Misconfigured(f"{file} is larger than {LARGEST_WHOLE >> 20} MiB; import smaller archives")
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}; give the path of an 80020 file") from error


def _tell(report: Report) -> None:
    if report.error is not None:
        say(f"{report.name}: not read: {report.error}")
        return
    say(
        f"{report.name}: {report.day} of {report.sender or 'nobody'}: stored {report.stored}, repeated"
        f" {report.repeated}, empty {report.empty}, not for settlement {report.unsettled}, refused {report.refused}"
    )
    for code, count in report.unknown_points.items():
        say(f"  point {code!r} is unknown ({count} rows): give a point of the fleet this official_code, import again")
    for bad in report.bad:
        say(f"  {bad.where}: {bad.detail}")
    if len(report.bad) == MOST_NAMED:
        say(f"  only the first {MOST_NAMED} are named; the others are among those refused")
    if report.unsettled:
        say("  values with status 1 are not for settlement; --all-values takes them like any other")
    if report.refused or report.unsettled:
        say("  what was not taken is kept: amr quarantine list")
