"""Log records as lines that nobody outside can forge: text for people, JSON for machines that collect it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from ingest.plain import plain

_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTINUED = "\n  | "


class ConsoleFormatter(logging.Formatter):
    """One line a record; what has several goes on below `  | `, so that a serial number or topic begins no record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record), keep="\n\t").replace("\n", _CONTINUED)


class JsonFormatter(logging.Formatter):
    """`at` (UTC), `level`, `logger`, `message`, `error` where there is one, and whatever the caller gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        text = json.dumps(said, ensure_ascii=False, default=str)
        if text.isprintable():
            return text
        # JSON lets through what steers some terminals (U+009B) and ends lines for some readers (U+2028).
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
