"""How a reading lies in `stored_reading`: its value in steps, and how long after it was taken it came in.

The columnstore keeps differences of differences whole, so noise costs its bits in every reading (decision 24). Only
what writes needs this; everybody else reads the view `reading`, in millionths and instants.
"""

from __future__ import annotations

from datetime import datetime, timedelta

COLUMNS = "register_id, source, taken_at, received_at, value, quality, reasons, step, delay"

STEP = "CASE WHEN value %% 1000 = 0 THEN 1000 ELSE 1 END"
"""Millionths in a step: a watt hour where the value (millionths) is whole in it, else one. Nothing is ever rounded."""

STEPS = "CASE WHEN value %% 1000 = 0 THEN value / 1000 ELSE value END"

_PROMPT = timedelta(days=3)
_PROMPTLY = "taken_at BETWEEN %(earliest)s AND %(latest)s"

LATE = f"CASE WHEN {_PROMPTLY} THEN NULL ELSE %(received_at)s END"
"""The instant of what came days later, or before its time: it is one for many readings there, and costs nothing."""

DELAY = f"CASE WHEN {_PROMPTLY} THEN floor((%(epoch)s - date_part('epoch', taken_at)) / 10)::smallint END"
"""Whole tens of seconds from when a reading was taken to when it came in, rounded down: never after the truth."""


def came(received_at: datetime) -> dict[str, datetime | float]:
    """What `LATE` and `DELAY` want to know of a batch."""
    return {
        "received_at": received_at,
        "earliest": received_at - _PROMPT,
        "latest": received_at + _PROMPT,
        "epoch": received_at.timestamp(),
    }
