"""The JSON of an 80020 import: what became of every file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from api.fields import Output


class BadRowOut(Output):
    """Rows that were not taken: where they stand, and why."""

    where: str = Field(examples=["34-1/01 0000-0030"])
    detail: str


class UnknownPointOut(Output):
    """A code that no point of the fleet has, and how many rows came for it."""

    code: str
    rows: int


class ImportedFile(Output):
    """One file. Its rows are `stored`, `repeated` (stored before), `empty`, `unsettled` (status 1) or `refused`.

    `bad` names refused rows, `unknown_points` the codes nobody has, at most 100 of each. With `error` nothing was read.
    """

    name: str
    day: str | None
    sender: str | None
    number: str | None
    error: str | None
    points: int
    stored: int
    repeated: int
    empty: int
    unsettled: int
    refused: int
    unknown_points: list[UnknownPointOut]
    bad: list[BadRowOut]


class ImportReport(Output):
    """Every file, in the order they were sent."""

    files: list[ImportedFile]


ANSWERS: Mapping[str, Any] = {
    "import80020": {
        "files": [
            {
                "name": "80020_7703311228_20260310_9566.xml",
                "day": "2026-03-10",
                "sender": "7703311228 Сетевая компания",
                "number": "9566",
                "error": None,
                "points": 1,
                "stored": 46,
                "repeated": 0,
                "empty": 1,
                "unsettled": 0,
                "refused": 49,
                "unknown_points": [{"code": "132070043214102", "rows": 48}],
                "bad": [
                    {
                        "where": "34-1/01 0000-0030",
                        "detail": "value '-5' is no energy; it is written in digits, without a sign",
                    }
                ],
            }
        ]
    }
}
"""What each operation answers, by operation id."""
