"""The month a reading is counted to, in words."""

from __future__ import annotations

from api.context import Context
from api.statement_words import month_name
from api.texts import Language
from api.words import BILLING
from ingest.billing import billing
from ingest.model import MeteringPoint


def billing_json(here: Context, point: MeteringPoint, language: Language) -> dict[str, object]:
    """What a reading entered now at the point is counted to, and whether it comes in time."""
    window = here.settings.window_of(point.category)
    found = billing(window, here.now(), point.tz)
    said = {"month": month_name(found.month, language), "first": window.first, "last": window.last}
    return {
        "month": f"{found.month:%Y-%m}",
        "in_window": found.in_window,
        "first_day": window.first,
        "last_day": window.last,
        "text": BILLING[found.in_window].say(language, said),
    }
