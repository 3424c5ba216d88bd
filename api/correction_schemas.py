"""The JSON of corrections."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from api.fields import Output
from api.schemas import ReadingOut


class CorrectionOut(ReadingOut):
    """A reading as it stood before it was corrected."""

    corrected_at: datetime
    corrected_by: str | None = Field(description="for staff, and for whoever corrected it")


class CorrectionsPage(Output):
    """Corrections, the youngest first; `next` is the cursor of the next page, null on the last."""

    items: list[CorrectionOut]
    next: str | None


_CORRECTION = {
    "meter": "SDM630-0001",
    "channel": "1.8.0",
    "taken_at": "2026-03-20T19:30:00+04:00",
    "value": "12435",
    "unit": "kWh",
    "source": "consumer",
    "quality": "suspect",
    "reasons": ["above_max_rate"],
    "received_at": "2026-03-20T19:31:07+04:00",
    "author": "consumer-77",
    "note": None,
    "corrected_at": "2026-03-20T19:34:40+04:00",
    "corrected_by": "consumer-77",
}

ANSWERS: Mapping[str, Any] = {"listCorrections": {"items": [_CORRECTION], "next": None}}
"""What the operations answer, by operation id."""
