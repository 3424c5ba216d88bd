"""What requests are about and how far they are, in both languages, by stable codes."""

from __future__ import annotations

from collections.abc import Mapping

from api.texts import Language, Text

STATES: Mapping[str, Mapping[str, Text]] = {
    "reading_request": {
        "queued": Text("waits for its turn to be read", "ждёт очереди на опрос"),
        "polling": Text("the meter is being read", "прибор опрашивается"),
        "manual": Text(
            "staff will read the meter, it cannot be read remotely", "прибор снимут сотрудники: удалённо нельзя"
        ),
        "done": Text("the meter was read", "показания сняты"),
        "failed": Text("the meter was not read", "показания снять не удалось"),
    },
    "service_request": {
        "submitted": Text("submitted", "подана"),
        "in_progress": Text("in progress", "в работе"),
        "done": Text("done", "выполнена"),
        "refused": Text("refused", "отклонена"),
    },
}
"""By what moved and the state it came to."""

SERVICES: Mapping[str, Text] = {
    "admission": Text("admission of a meter to operation", "допуск прибора учёта в эксплуатацию"),
    "installation": Text("installation of a meter", "установка прибора учёта"),
    "replacement": Text("replacement of a meter", "замена прибора учёта"),
    "maintenance": Text("maintenance of a meter", "обслуживание прибора учёта"),
    "equipment": Text("metering equipment of a supply point", "оборудование точки поставки прибором учёта"),
}
"""What a service request asks for."""

FAILURES: Mapping[str, Text] = {
    "timeout": Text("the meter did not answer", "прибор не ответил"),
    "unreachable": Text("the meter cannot be reached", "прибор недоступен"),
    "malformed": Text("the meter's answer was damaged", "ответ прибора искажён"),
    "refused": Text("the meter refused to answer", "прибор отказал в ответе"),
    "line_down": Text("there is no connection to the meter", "нет связи с прибором"),
    "not_taken": Text("nobody reads meters just now; ask again later", "опрос сейчас не ведётся; запросите позже"),
    "abandoned": Text("reading the meter was broken off; ask again", "опрос прервался; запросите ещё раз"),
    "too_late": Text("the line was busy for too long; ask again", "линия была занята слишком долго; запросите ещё раз"),
    "no_reading": Text("what the meter answered was no reading", "ответ прибора не содержит показаний"),
    "swapped_meter": Text("another meter answered", "ответил другой прибор"),
    "no_access": Text("nobody could get to the meter", "нет доступа к прибору"),
    "not_found": Text("the meter was not found at its place", "прибор не найден на месте"),
    "damaged": Text("the meter is damaged", "прибор повреждён"),
    "other": Text("the meter could not be read", "показания снять не удалось"),
}
"""Why a meter was not read. Devices have more codes than this: those are said like `other`."""

REFUSALS = ("no_access", "not_found", "damaged", "other")
"""What staff may say when they could not read a meter."""


def state_text(kind: str, state: str, language: Language) -> str:
    """The words for a state."""
    return STATES[kind][state].say(language)


def failure_json(code: str | None, language: Language) -> dict[str, str] | None:
    """Why a meter was not read: the code and the words."""
    return None if code is None else {"code": code, "text": FAILURES.get(code, FAILURES["other"]).say(language)}
