"""What a line says of itself in the log: once when it, or a meter on it, falls silent, and once when that is over."""

from __future__ import annotations

import logging

from collectors.link import LineDown, Silent
from ingest.errors import AmrError
from ingest.outage import Outage
from ingest.remedies import remedy


class LineOutages:
    """The outages of one line. Tries that fail in between are told at DEBUG."""

    def __init__(self, log: logging.Logger, line: str) -> None:
        self._log = log
        self._line = line
        self._link = Outage(log, {"line": line})
        self._all = Outage(log, {"line": line})
        self._meters: dict[str, Outage] = {}
        self.any = False
        """Whether something may last: most lines have nothing to tell when a meter answers."""

    def lost(self, error: LineDown, pause: float) -> None:
        """The link cannot be opened, or broke."""
        self.any = True
        self._link.told("line %s: %s; next try in %.0f s. What to try: %s", self._line, error, pause, _try(error))

    def nobody(self, turns: int) -> None:
        """Nobody answered so many turns."""
        self.any = True
        self._all.told("line %s: nobody answered %d turns; the link is opened anew", self._line, turns)

    def failed(self, serial: str, error: AmrError, why: str = "") -> None:
        """A poll failed. A broken link says nothing of the meter; any other failure came over a link that works.

        Another `why` than before is told anew.
        """
        if isinstance(error, LineDown):
            self._log.debug("meter %s was not asked: %s", serial, error, extra={"line": self._line, "meter": serial})
            return
        self._link.over("line %s is up again", self._line)
        self.any = True
        outage = self._meters.get(serial)
        if outage is None:
            outage = self._meters[serial] = Outage(self._log, {"line": self._line, "meter": serial})
        said = str(error) if str(error).endswith("?") else f"{error}."
        outage.told("meter %s on line %s: %s What to try: %s", serial, self._line, said, _try(error), why=why)

    def answered(self, serial: str, problem: AmrError | None = None) -> None:
        """A meter was read; `problem` is what is wrong with it although it answered, such as another serial number."""
        if self._link:
            self._link.over("line %s is up again", self._line)
        if self._all:
            self._all.over("line %s: meters answer again", self._line)
        if problem is not None:
            self.failed(serial, problem, problem.code)
            return
        if self._meters and (outage := self._meters.pop(serial, None)) is not None:
            outage.over("meter %s on line %s answers again", serial, self._line)
        self.any = bool(self._meters)


def _try(error: AmrError) -> str:
    """Of one meter's silence nobody knows yet whether its neighbours are silent too."""
    if isinstance(error, Silent):
        return (
            "check its power, wiring and address; amr status says whether its neighbours answer, and if it has none, "
            "check the line's polarity, speed and parity too"
        )
    return remedy(error.code).en
