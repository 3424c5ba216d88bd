"""The month a reading is counted to, in words."""

from __future__ import annotations

from api.context import Context
from api.texts import Language
from api.words import BILLING
from ingest.billing import billing
from ingest.model import MeteringPoint


def billing_json(here: Context, point: MeteringPoint, language: Language) -> dict[str, object]:
    """What a reading entered now at the point is counted to, and whether it comes in time."""
    window = here.settings.window_of(point.category)
    found = billing(window, here.now(), point.tz)
    month = f"{found.month:%Y-%m}"
    return {
        "month": month,
        "in_window": found.in_window,
        "first_day": window.first,
        "last_day": window.last,
        "text": BILLING[found.in_window].say(language, {"month": month, "first": window.first, "last": window.last}),
    }
