"""What codes in answers mean, for people, in Russian and in English: the page shows these words."""

from __future__ import annotations

from collections.abc import Mapping

from api.texts import Text

BILLING: Mapping[bool, Text] = {
    True: Text("counted to {month}", "будет учтено за {month}"),
    False: Text(
        "entered outside days {first}–{last}: kept, and counted to {month}",
        "введено вне дней {first}–{last}: сохранено и будет учтено за {month}",
    ),
}
"""Which month a reading is counted to, by whether it came within the submission window."""

REASONS: Mapping[str, Text] = {
    "below_previous": Text("less than the previous reading", "меньше предыдущего показания"),
    "above_max_rate": Text(
        "more than could be consumed since the previous reading",
        "больше, чем могло быть потреблено с прошлого показания",
    ),
    "stuck": Text("the counter has not moved for too long", "счётчик слишком долго не меняется"),
    "future_time": Text("taken in the future", "снято в будущем"),
    "before_installation": Text("taken before the meter was installed", "снято до установки прибора"),
    "zone_sum": Text("the tariff zones do not add up to the total", "сумма тарифных зон не равна общему показанию"),
    "disputed": Text(
        "it contradicts the automatic or imported readings", "расходится с автоматическими или загруженными показаниями"
    ),
    "clock_drift": Text("the meter's clock is wrong", "часы прибора идут неверно"),
    "too_many_digits": Text("more digits than the register has", "цифр больше, чем на счётчике"),
}
"""Why a reading is suspect, by the codes of `ingest.model.Reason`."""

AMOUNT_REASONS: Mapping[str, Text] = {
    "interpolated": Text("between two readings", "между двумя показаниями"),
    "gap": Text("part of the time has no readings", "часть периода без показаний"),
    "distributed": Text("a gap was spread evenly, as asked", "пропуск распределён равномерно, как запрошено"),
    "no_readings": Text("nothing was read", "показаний нет"),
    "no_meter": Text("part of the time has no meter", "часть периода без прибора"),
    "rollover": Text("passed zero", "переход через ноль"),
    "unexplained_fall": Text("an unexplained fall, not counted", "необъяснимое уменьшение, не учтено"),
    "unexplained_jump": Text("an unexplained jump, not counted", "необъяснимый скачок, не учтён"),
    "detour": Text("wrong readings left out", "ошибочные показания исключены"),
    "stuck": Text("a stuck counter left out", "остановка счётчика исключена"),
    "sum_of_zones": Text("by the zones", "по зонам"),
    "unsteady": Text("the counter is unsteady", "счётчик неустойчив"),
    "exchange": Text("meter exchanged", "замена прибора"),
    "ratio_change": Text("K changed", "смена K"),
    "substitute_last_year": Text("no readings: as in the same month last year", "показаний нет: как год назад"),
    "substitute_average": Text("no readings: the average of known months", "показаний нет: среднее известных месяцев"),
}
"""What is worth knowing of an amount, by the reasons of the consumption engine (docs/consumption.md)."""

QUALITIES: Mapping[str, Text] = {
    "good": Text("good", "достоверно"),
    "estimated": Text("estimated", "расчётное"),
    "suspect": Text("doubtful", "недостоверно"),
    "missing": Text("no data", "нет данных"),
}
"""How far a reading or an amount is to be trusted; only amounts can be missing."""

SOURCES: Mapping[str, Text] = {
    "inspection": Text("inspection", "контрольное"),
    "automatic": Text("automatic", "дистанционно"),
    "import": Text("import", "из файла"),
    "operator": Text("operator", "оператор"),
    "consumer": Text("consumer", "потребитель"),
    "estimate": Text("estimate", "расчётное"),
}
"""How a reading was taken."""

CONTACTS: Mapping[str, Text] = {
    "answering": Text("the meter answers", "прибор на связи"),
    "silent": Text("the meter does not answer", "прибор не отвечает"),
    "waiting": Text("the meter was not asked yet", "прибор ещё не опрашивался"),
    "manual": Text("readings are typed in", "показания вводятся вручную"),
}
"""Whether the meter of a point answers."""

UNITS: Mapping[str, Text] = {
    "kWh": Text("kWh", "кВт·ч"),
    "kvarh": Text("kvarh", "квар·ч"),
    "kVAh": Text("kVAh", "кВА·ч"),
    "W": Text("W", "Вт"),
    "var": Text("var", "вар"),
    "VA": Text("VA", "ВА"),
    "V": Text("V", "В"),
    "A": Text("A", "А"),
    "Hz": Text("Hz", "Гц"),
    "1": Text("", ""),
}
"""Units of values; a power factor has none."""

_ENERGIES: Mapping[str, Text] = {
    "1": Text("active energy", "активная энергия"),
    "2": Text("active energy given back", "активная энергия, отдача"),
    "3": Text("reactive energy", "реактивная энергия"),
    "4": Text("reactive energy given back", "реактивная энергия, отдача"),
}
_ZONES: Mapping[str, Text] = {
    "0": Text("total", "всего"),
    **{zone: Text(f"tariff zone T{zone}", f"тарифная зона Т{zone}") for zone in "1234"},
}
_PHASES: Mapping[int, Text] = {phase: Text(f"phase {phase}", f"фаза {phase}") for phase in (1, 2, 3)}
_BY_PHASE: Mapping[int, Text] = {11: Text("current", "ток"), 12: Text("voltage", "напряжение")}

CHANNELS: Mapping[str, Text] = {
    **{
        f"{quantity}.8.{zone}": Text(f"{energy.en}, {name.en}", f"{energy.ru}, {name.ru}")
        for quantity, energy in _ENERGIES.items()
        for zone, name in _ZONES.items()
    },
    **{
        f"{20 * phase + quantity}.7.0": Text(f"{what.en}, {where.en}", f"{what.ru}, {where.ru}")
        for quantity, what in _BY_PHASE.items()
        for phase, where in _PHASES.items()
    },
    "1.7.0": Text("active power", "активная мощность"),
    "3.7.0": Text("reactive power", "реактивная мощность"),
    "13.7.0": Text("power factor", "коэффициент мощности"),
    "14.7.0": Text("frequency", "частота"),
}
"""The channels that consumers meet; a meter may have more. Which hours a tariff zone has is programmed in the meter."""
