"""What to do about a cause of silence: for the engineer who is about to drive there. English and Russian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """What the cause means and the first thing to try."""

    en: str
    ru: str


REMEDIES: Mapping[str, Remedy] = {
    "no_collector": Remedy(
        "no collector is running: start amr collect, or look into its log",
        "ни один сборщик не работает: запустите amr collect или посмотрите его журнал",
    ),
    "line_unowned": Remedy(
        "a collector runs, and none of them polls this line: see its log for the reason",
        "сборщик работает, но эту линию никто не опрашивает: причина в его журнале",
    ),
    "nobody_listens": Remedy(
        "no process subscribes to the broker: start amr collect with AMR_MQTT_URL",
        "никто не подписан на брокер: запустите amr collect с AMR_MQTT_URL",
    ),
    "broker_lost": Remedy(
        "the broker cannot be reached: is it running, is its address, password and certificate right",
        "брокер недоступен: проверьте, работает ли он, адрес, пароль и сертификат",
    ),
    "line_down": Remedy(
        "the converter or port cannot be opened: check its power, network, address and who else holds it",
        "преобразователь или порт не открывается: проверьте питание, сеть, адрес и не занят ли он",
    ),
    "nobody_answers": Remedy(
        "the port opens and no meter answers: check the RS-485 pair, its polarity, speed and parity",
        "порт открывается, но не отвечает ни один счётчик: проверьте пару RS-485, полярность, скорость и чётность",
    ),
    "gateway_silent": Remedy(
        "nothing comes from this gateway: check its power, link and its account at the broker",
        "от этого шлюза ничего не приходит: проверьте питание, связь и учётную запись на брокере",
    ),
    "overdue": Remedy(
        "its gateway brings others, not this one: check the meter's wiring to the gateway",
        "шлюз передаёт другие счётчики, а этот нет: проверьте подключение счётчика к шлюзу",
    ),
    "timeout": Remedy(
        "others on the line answer, this one is silent: check its power, wiring and address",
        "другие на линии отвечают, этот молчит: проверьте питание, подключение и адрес счётчика",
    ),
    "silent_alone": Remedy(
        "no other meter of its line is asked, so it may be the meter or the line: check the meter's power and address, "
        "and the RS-485 pair, its polarity, speed and parity",
        "других счётчиков на этой линии не опрашивают, поэтому виноват счётчик или линия: проверьте питание и адрес "
        "счётчика, а также пару RS-485, полярность, скорость и чётность",
    ),
    "malformed": Remedy(
        "its answers are damaged: check shield, termination, and two meters with one address",
        "ответы искажены: проверьте экран, согласующий резистор и нет ли двух счётчиков с одним адресом",
    ),
    "busy": Remedy(
        "it answers that it is busy: read it less often, and look for somebody else who reads it",
        "отвечает, что занят: опрашивайте реже и проверьте, не опрашивает ли его кто-то ещё",
    ),
    "refused": Remedy(
        "it answers and refuses: check the model, the password and the access level",
        "отвечает отказом: проверьте модель, пароль и уровень доступа",
    ),
    "swapped_meter": Remedy(
        "another meter stands there: record the exchange with amr meter exchange, or correct the address",
        "там стоит другой счётчик: оформите замену (amr meter exchange) или исправьте адрес",
    ),
}

UNKNOWN = Remedy("see amr line watch", "посмотрите обмен: amr line watch")


def remedy(cause: str) -> Remedy:
    """What is known of a cause; a code without an entry of its own is looked into on the line."""
    return REMEDIES.get(cause, UNKNOWN)
