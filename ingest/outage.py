"""Something of ours that is away for a while: told when it begins, when its cause changes, and when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping


class Outage:
    """`where` (line, meter, batch) goes with every record, as `extra`. Each further failure in between is DEBUG."""

    def __init__(self, log: logging.Logger, where: Mapping[str, object] | None = None) -> None:
        self._log = log
        self._where = dict(where or {})
        self._since: float | None = None
        self._why: object = ""

    def __bool__(self) -> bool:
        """Whether it lasts."""
        return self._since is not None

    def told(self, message: str, *args: object, why: object = "", **where: object) -> None:
        """It failed (again); `where` goes with this record alone. Another `why` than before is news."""
        news = self._since is None or why != self._why
        self._since, self._why = self._since or time.monotonic(), why
        self._log.log(logging.WARNING if news else logging.DEBUG, message, *args, extra={**self._where, **where})

    def over(self, message: str, *args: object) -> None:
        """It works: said only if it did not."""
        if self._since is not None:
            lasted, self._since = time.monotonic() - self._since, None
            self._log.warning(message + ", after %.0f s", *args, lasted, extra=self._where)
