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
    "disputed": Text("it contradicts the automatic readings", "расходится с автоматическими показаниями"),
    "clock_drift": Text("the meter's clock is wrong", "часы прибора идут неверно"),
    "too_many_digits": Text("more digits than the register has", "цифр больше, чем на счётчике"),
}
"""Why a reading is suspect, by the codes of `ingest.model.Reason`."""
