"""What a spool keeps, what it had to drop, and how it fails."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from ingest.errors import AmrError


class SpoolFailed(AmrError):
    """The spool's file could not be written or read. Nothing of that call was kept; what was kept before stays."""

    code = "spool_failed"
    transient = True


class SpoolFull(SpoolFailed):
    """No room on the disk, or none within the limit after everything that may be dropped was dropped."""

    code = "spool_full"


class Item(NamedTuple):
    """What is kept: a body, and for the rule of a full spool whose it is, of which local day and of what instant.

    An item without a series is never dropped, only refused.
    """

    body: bytes
    series: str | None = None
    at: datetime | None = None
    day: date | None = None


class Lost(NamedTuple):
    """Items between the boundaries of one day of one series that were dropped: instants since and until, inclusive."""

    series: str
    day: date
    cause: str
    since: datetime
    until: datetime
    items: int


class Held(NamedTuple):
    """How much is there: items, bytes on disk in use, and when the oldest was put (None when empty)."""

    items: int
    bytes: int
    oldest: datetime | None
