"""Logs for machines: one JSON object a line, with what the caller added."""

from __future__ import annotations

import json
import logging

from ingest.log_format import JsonFormatter

WHERE = {"line": "tp-1", "meter": "7"}


def written(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_a_record_with_its_line_and_meter() -> None:
    record = logging.getLogger("amr").makeRecord(
        "collectors.line", logging.INFO, "f", 1, "meter %s: нет ответа", ("7",), None, extra=WHERE
    )
    found = written(record)
    assert (found["level"], found["logger"], found["message"]) == ("INFO", "collectors.line", "meter 7: нет ответа")
    assert (found["line"], found["meter"]) == ("tp-1", "7")
    assert str(found["at"]).endswith("+00:00")
    assert set(found) == {"at", "level", "logger", "message", "line", "meter"}


def test_an_error_keeps_its_trace_on_the_one_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
    assert "ValueError: a\nb" in str(written(record)["error"])
