"""What a message to people says of alerts: a subject and lines, in one language. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any, Literal

from ingest.alerts import Alert, Digest
from ingest.remedies import REMEDIES

Language = Literal["en", "ru"]

_WORDS = {
    "subject": ("Metering: {raised} faults, {cleared} over", "Учёт: неисправностей {raised}, устранено {cleared}"),
    "raised": ("At fault:", "Неисправно:"),
    "cleared": ("Over:", "Устранено:"),
    "since": ("since", "с"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `subject` and `text` for people, `facts` for programs (only strings, numbers, lists and nulls)."""

    subject: str
    text: str
    facts: dict[str, Any]


def message(digest: Digest, language: Language) -> Message:
    """What to send. The faults come first, each with what to try."""
    subject = _word("subject", language).format(raised=len(digest.raised), cleared=len(digest.cleared))
    lines: list[str] = []
    for title, alerts in (("raised", digest.raised), ("cleared", digest.cleared)):
        if alerts:
            lines += [_word(title, language), *(_line(alert, language) for alert in alerts), ""]
    facts = {"raised": [_facts(one) for one in digest.raised], "cleared": [_facts(one) for one in digest.cleared]}
    return Message(subject, "\n".join(lines), {"subject": subject, **facts})


def _word(name: str, language: Language) -> str:
    return _WORDS[name][language == "ru"]


def _line(alert: Alert, language: Language) -> str:
    since = f"{_word('since', language)} {alert.since.astimezone(UTC):%Y-%m-%d %H:%MZ}"
    what = REMEDIES.get(alert.cause)
    tail = "" if what is None or alert.cleared_at else f"\n    {what.ru if language == 'ru' else what.en}"
    return f"  {alert.key}: {alert.cause}, {since}; {alert.detail}{tail}"


def _facts(alert: Alert) -> dict[str, Any]:
    return {
        "key": alert.key,
        "level": alert.level,
        "cause": alert.cause,
        "detail": alert.detail,
        "since": alert.since.isoformat(),
        "cleared_at": None if alert.cleared_at is None else alert.cleared_at.isoformat(),
    }
