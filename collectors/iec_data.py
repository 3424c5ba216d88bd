"""Data sets of IEC 62056-21: `NAME(value)` blocks and readouts of `OBIS(value*unit)` lines as exact numbers. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from ingest.errors import Malformed, Refused

_SETS = re.compile(r"([^()\r\n]*)\(([^()\r\n]*)\)(?:\r\n)?")
_LINE = re.compile(r"(?:\d+-\d+:)?(\d+\.\d+\.\d+)(?:\*\d+)?\(([^()*]*)(?:\*([^()]*))?\)")
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_ERROR = re.compile(r"(?:ERR)?\d{1,3}", re.ASCII)


class NotThere(Refused):
    """The meter has no such parameter, or not for that date; `code` is its own."""

    def __init__(self, name: str, code: str) -> None:
        super().__init__(f"the meter answered {name} with error {code}")


def items(name: str, text: bytes) -> list[str]:
    """The values of an answer to `R1 NAME(…)`: several sets, several values in a set, in their order.

    NotThere when the answer is an error, Malformed when it is not an answer to that name at all.
    """
    said = _ascii(name, text)
    found = list(_SETS.finditer(said))
    if not found or "".join(one.group(0) for one in found) != said:
        raise Malformed(f"{said[:60]!r} is no data set; asked was {name}")
    first, values = found[0].group(1), [part for one in found for part in one.group(2).split(",")]
    if any(value.startswith("ERR") for value in values) or (not first and _ERROR.fullmatch(values[0])):
        raise NotThere(name, values[0])
    if first != name or any(one.group(1) not in ("", name) for one in found):
        raise Malformed(f"{said[:60]!r} does not answer {name}")
    return values


def readout(text: bytes) -> dict[str, tuple[str, str]]:
    """The lines of a readout: OBIS C.D.E -> value and unit, both as printed. Malformed when the end is not there."""
    said = _ascii("the readout", text)
    if not said.endswith("!\r\n"):
        raise Malformed(f"{said[-30:]!r} is not the end of a readout; it ends with !")
    return {
        found.group(1): (found.group(2), found.group(3) or "")
        for line in said.split("\r\n")
        if (found := _LINE.fullmatch(line))
    }


def number(name: str, item: str) -> Decimal | None:
    """A printed number; empty is no value. Malformed for anything else."""
    if not item:
        return None
    if not _NUMBER.fullmatch(item):
        raise Malformed(f"{name} is {item[:40]!r}, which is no number")
    return Decimal(item)


def clock(date: str, time: str) -> datetime:
    """The meter's own wall clock, naive: `ww.dd.mm.yy` or `yymmdd`, and `hh:mm:ss` or `hhmmss`."""
    parts = date.split(".")
    day = f"{parts[-1]}{parts[-2]}{parts[-3]}" if len(parts) in (3, 4) else date
    try:
        return datetime.strptime(day + time.replace(":", ""), "%y%m%d%H%M%S")  # noqa: DTZ007 - the caller knows whose zone
    except ValueError as error:
        raise Malformed(f"{date!r} {time!r} is no date and time: {error}") from error


def _ascii(name: str, text: bytes) -> str:
    try:
        return text.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed(f"{name} came with bytes that are no text: {text[:40].hex(' ')}") from error
