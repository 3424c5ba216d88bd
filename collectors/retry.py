"""When a meter whose poll failed is tried again, by what it failed with. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from collectors.link import LineDown, Silent
from collectors.turns import Turn
from ingest.errors import AmrError, Malformed


def put_off(turn: Turn, now: datetime, error: AmrError, retry: float) -> None:
    """Set when it is due again; `retry` is after how many seconds, when its line went and that says nothing of it."""
    if isinstance(error, LineDown):
        turn.due = min(turn.due, now + timedelta(seconds=retry))
    elif isinstance(error, (Silent, Malformed)):
        again = now + turn.health.failed(now)
        turn.due = again if turn.health.off else min(turn.due, again)
    elif error.transient:
        turn.due = min(turn.due, now + turn.health.hindered())
    else:
        turn.health.good()
    turn.failing = True
