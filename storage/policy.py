"""How long readings are kept and how they are laid out on the disk: what an operator decides, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_DAY = timedelta(days=1)
_YEAR = timedelta(days=366)
_LONGEST_CHUNK = 30 * _DAY
_COMFORTABLE = 50_000  # registers whose half-hours of 30 days make one chunk of a size that compresses and drops well


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """The layout and the retention of the history.

    `keep` is how long every reading and load profile is kept (3.5 years), with what says why one is missing; older ones
    are thinned to the first reading of every local day, for ever. `notes` is how long finished reading requests, their
    moves and the days' completeness are kept, `audit` the same of who asked what (see `audit_kept`). None keeps
    everything. The rest matters on TimescaleDB only: `compress_after` is
    longer than late data come, `chunk` is the time one chunk covers (None: chosen by the number of registers), and
    with `timescale` False the tables stay plain whatever the server offers.
    """

    keep: timedelta | None = timedelta(days=1278)
    compress_after: timedelta = timedelta(days=45)
    chunk: timedelta | None = None
    timescale: bool = True
    notes: timedelta | None = timedelta(days=400)
    audit: timedelta | None = timedelta(days=1827)

    def __post_init__(self) -> None:
        for name in ("keep", "compress_after", "chunk", "notes", "audit"):
            length = getattr(self, name)
            if length is not None and length < _DAY:
                raise ValueError(f"{name} {length} is shorter than a day; readings are kept and laid out by days")

    @property
    def audit_kept(self) -> timedelta | None:
        """How long who asked what is kept: never shorter than a year or than the readings it is about."""
        if self.audit is None or self.keep is None:
            return None
        return max(self.audit, self.keep, _YEAR)

    def chunk_for(self, registers: int) -> timedelta:
        """The time one chunk covers: a month up to 50 000 registers, then shorter in proportion, at least a day."""
        if self.chunk is not None:
            return self.chunk
        return max(_DAY, min(_LONGEST_CHUNK, _LONGEST_CHUNK * _COMFORTABLE // max(1, registers) // _DAY * _DAY))
