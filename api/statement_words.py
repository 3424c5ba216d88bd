"""What a statement of readings says, in Russian and in English."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from api.export_cells import Column
from api.texts import Language, Text

TITLE = Text("Statement of meter readings, {month}", "Ведомость снятия показаний приборов учёта за {month}")
SUBTITLE = Text(
    "Readings as of 00:00 of the first day of {month} and of {following}, on the clock of each point. Made {made}.",
    "Показания на 00:00 первого числа: {month} и {following}, по времени точки учёта. Составлена {made}.",
)
TOTAL = Text("Total {channel}", "Итого {channel}")
UNCOUNTED = Text("lines without an amount are left out: {missing}", "не вошли строки без расхода: {missing}")
NO_READING = Text("no reading", "нет показания")
NO_AMOUNT = Text("no data", "нет данных")
NO_METER = Text("no meter", "нет прибора")
SUMMED = Text("sum of zones", "сумма зон")
SINCE = Text("from {at}", "с {at}")
UNTIL = Text("to {at}", "по {at}")
TAKEN = Text("{what} taken {at}", "{what} снято {at}")
PREVIOUS = Text("previous", "предыдущее")
CURRENT = Text("current", "текущее")
PARTLY = Text("{share} % of the time is measured", "учтено {share} % времени")
SIGNATURES = (
    Text("Readings taken by", "Показания снял"),
    Text("For the network company", "Представитель сетевой организации"),
    Text("For the consumer", "Потребитель"),
)
SIGN_HERE = Text(
    "{who} ____________________ / ____________________ /   ____.____.20____",
    "{who} ____________________ / ____________________ /   «____» ______________ 20____ г.",
)
PAGE = Text("page {page} of {{nb}}", "лист {page} из {{nb}}")

COLUMNS = (
    Column(Text("No.", "№"), 5),
    Column(Text("Point", "Точка учёта"), 16),
    Column(Text("Name, address", "Наименование, адрес"), 34),
    Column(Text("Meter", "Прибор учёта"), 15),
    Column(Text("Register", "Шкала, зона"), 13),
    Column(Text("Previous", "Предыдущее показание"), 15),
    Column(Text("Current", "Текущее показание"), 15),
    Column(Text("Difference", "Разность"), 14),
    Column(Text("K", "K"), 7),
    Column(Text("Consumption", "Расход"), 15),
    Column(Text("Unit", "Единица"), 9),
    Column(Text("Taken", "Как снято"), 15),
    Column(Text("Notes", "Примечания"), 32),
)

BY_PROFILE = Text("load profile", "по профилю")
"""How a value was taken that no register showed."""

_QUANTITIES = {"1": "A+", "2": "A−", "3": "R+", "4": "R−"}
_TOTAL = Text("{quantity} total", "{quantity} всего")
_ZONE = Text("{quantity} zone {zone}", "{quantity} зона {zone}")
_MONTHS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    "ru": (
        "январь",
        "февраль",
        "март",
        "апрель",
        "май",
        "июнь",
        "июль",
        "август",
        "сентябрь",
        "октябрь",
        "ноябрь",
        "декабрь",
    ),
}
_YEAR = Text("{name} {year}", "{name} {year} г.")


def month_name(month: date, language: Language) -> str:
    """A month in words."""
    return _YEAR.say(language, {"name": _MONTHS[language][month.month - 1], "year": month.year})


def register_name(channel: str, language: Language) -> str:
    """A channel as consumers know it: A+ total, A+ zone 1."""
    quantity, _, zone = channel.split(".")
    text = _TOTAL if zone == "0" else _ZONE
    return text.say(language, {"quantity": _QUANTITIES.get(quantity, channel), "zone": zone})
