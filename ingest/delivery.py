"""What comes to the door, and what the door answers.

A `Delivery` is one thing that arrived whole: a poll, a message, a submission, a file. It is stored in one transaction
and answered by one `Outcome`, so that whoever brought it knows when it may be forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from ingest.model import NO_REASON, IntervalReading, Quality, Reading, Reason


@dataclass(frozen=True, slots=True)
class Reject:
    """A piece that could not become a reading. `raw` is kept whole in quarantine; `reason` is a stable code."""

    reason: str
    detail: str
    raw: bytes
    meter: str | None = None
    channel: str | None = None


class Contact(NamedTuple):
    """One attempt to reach a meter: `failure` is None when it answered, else a stable code such as 'timeout'.

    `drift` is how far the meter's own clock was ahead of ours then; None when it was not asked or has none. `gateway`
    is who tells of it, None for a collector of ours: the news of a meter that is not that gateway's is nobody's. With
    `since` the failure stands for all attempts from then to `tried_at`.
    """

    meter: str
    tried_at: datetime
    failure: str | None = None
    detail: str | None = None
    drift: timedelta | None = None
    gateway: str | None = None
    since: datetime | None = None


class Delivery(NamedTuple):
    """Readings, rejects and contacts that came together from `origin` (like 'modbus:tp-101/5' or 'mqtt:<topic>').

    `raw` is the whole as it came, kept when one of its readings has to be quarantined (empty: the reading is written
    out instead). With `gateway` set, only readings of meters assigned to that gateway are let in. `receipt` is the
    sender's own name of it, told back to him after the commit; empty when he wants to hear nothing.
    """

    origin: str
    readings: Sequence[Reading] = ()
    rejects: Sequence[Reject] = ()
    contacts: Sequence[Contact] = ()
    intervals: Sequence[IntervalReading] = ()
    raw: bytes = b""
    gateway: str | None = None
    receipt: str = ""

    @property
    def size(self) -> int:
        """How many rows it may become, at least 1: what bounded queues count."""
        return max(1, len(self.readings) + len(self.rejects) + len(self.contacts) + len(self.intervals))


class Fate(StrEnum):
    """What became of one reading."""

    STORED = "stored"
    REPEATED = "repeated"
    SUPERSEDED = "superseded"
    """Stored in place of an earlier value of the same person's key; the earlier one is in history."""
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one reading: its fate, its quality and why; `code` and `detail` explain a quarantine."""

    fate: Fate
    quality: Quality = Quality.GOOD
    reasons: Reason = NO_REASON
    code: str = ""
    detail: str = ""


@dataclass(slots=True)
class Outcome:
    """The answer for one delivery, given after its commit.

    `verdicts` stand in the order of the delivery's readings.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    rejected: int = 0
    stored: bool = True
    """False when nothing was stored: a reading was doubtful and doubtful ones were not wanted, or it is `kept`."""
    kept: bool = False
    """The store is away: the delivery is on this machine's disk, and judged when it is stored."""

    def counts(self) -> Counter[Fate]:
        """How many readings met each fate."""
        return Counter(verdict.fate for verdict in self.verdicts)
