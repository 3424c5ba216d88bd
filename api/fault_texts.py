"""What can be wrong with one field, by its stable code: what it means and the remedy, in Russian and in English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.texts import Text


@dataclass(frozen=True, slots=True)
class FaultText:
    """What is wrong, and what to do about it."""

    message: Text
    remedy: Text


def _text(en: str, ru: str, remedy_en: str, remedy_ru: str) -> FaultText:
    return FaultText(Text(en, ru), Text(remedy_en, remedy_ru))


FAULTS: Mapping[str, FaultText] = {
    "missing": _text("the field is missing", "поле не указано", "send the field", "укажите поле"),
    "unknown_field": _text(
        "there is no such field",
        "такого поля нет",
        "leave it out, or check its spelling",
        "уберите его или проверьте написание",
    ),
    "refused": _text("{reason}", "не принято ({reason})", "correct it and send it again", "исправьте и пришлите снова"),
    "invalid_value": _text("{reason}", "неподходящее значение ({reason})", "correct the value", "исправьте значение"),
    "wrong_type": _text("the value is not {expected}", "это не {expected}", "send {expected}", "пришлите {expected}"),
    "not_json_type": _text(
        "the body is not said to be JSON",
        "тело запроса не названо JSON",
        "send it with Content-Type: application/json",
        "пришлите его с заголовком Content-Type: application/json",
    ),
    "not_a_choice": _text(
        "not one of the known values", "нет такого варианта", "use one of: {expected}", "допустимы: {expected}"
    ),
    "out_of_range": _text(
        "the value is out of range",
        "значение вне допустимых границ",
        "use a value from {least} to {most}",
        "допустимы значения от {least} до {most}",
    ),
    "too_long": _text("it is too long", "слишком длинно", "use at most {most} {what}", "не больше {most} {what}"),
    "empty": _text("it is empty", "пусто", "send at least {what}", "пришлите хотя бы {what}"),
    "not_a_number": _text(
        "not a decimal number",
        "это не десятичное число",
        "write digits with a point and without spaces, such as 1234.5",
        "пишите цифрами, с точкой и без пробелов, например 1234.5",
    ),
    "negative": _text(
        "a register never shows less than zero",
        "счётчик не показывает меньше нуля",
        "write what the display shows, without a sign",
        "пишите то, что на дисплее, без знака",
    ),
    "too_many_digits": _text(
        "more digits before the point than the register has",
        "цифр до запятой больше, чем на счётчике",
        "the register shows {digits} digits before the point: check for an extra one",
        "на счётчике {digits} цифр до запятой: проверьте, нет ли лишней",
    ),
    "too_many_decimals": _text(
        "more digits after the point than the register has",
        "цифр после запятой больше, чем на счётчике",
        "write at most {decimals} digits after the point",
        "не больше {decimals} цифр после запятой",
    ),
    "not_a_channel": _text(
        "not an OBIS code C.D.E",
        "это не код OBIS C.D.E",
        "write for example 1.8.0 for active energy taken",
        "пишите, например, 1.8.0 для активной энергии",
    ),
    "unknown_channel": _text(
        "the point has no such channel",
        "у точки нет такого канала",
        "use one of: {known}",
        "есть каналы: {known}",
    ),
    "not_a_counter": _text(
        "the channel is a momentary value, not a counter",
        "канал — мгновенная величина, а не счётчик",
        "use an energy channel C.8.E such as {known}",
        "возьмите канал энергии C.8.E, например {known}",
    ),
    "naive_time": _text(
        "the time of day or its offset is missing",
        "не указано время суток или его смещение",
        "write {form}; in an address '+' is written %2B",
        "пишите {form}; в адресе '+' пишется %2B",
    ),
    "not_a_time": _text(
        "not a date or a time",
        "это не дата и не время",
        "write {form}",
        "пишите {form}",
    ),
    "not_before": _text(
        "from is not before to",
        "начало не раньше конца",
        "make from earlier than to; to itself does not belong to the range",
        "начало должно быть раньше конца; сам конец в период не входит",
    ),
    "range_too_long": _text(
        "the range is too long",
        "период слишком велик",
        "ask for at most {most} years at once",
        "не больше {most} лет за один раз",
    ),
    "too_many_intervals": _text(
        "the step cuts the range into too many intervals",
        "при таком шаге интервалов слишком много",
        "ask for at most {most} intervals: a shorter range or a longer step",
        "не больше {most} интервалов: возьмите период короче или шаг длиннее",
    ),
    "step_too_long": _text(
        "the step is longer than the range",
        "шаг длиннее периода",
        "choose a shorter step or a longer range",
        "возьмите шаг короче или период длиннее",
    ),
    "months_only": _text(
        "substitutes exist for months only",
        "замещение есть только для месяцев",
        "ask with step month, or for another way with gaps",
        "запросите с шагом month или выберите другое значение gaps",
    ),
    "bad_cursor": _text(
        "not a cursor of this list",
        "это не курсор этого списка",
        "take next from the previous page unchanged, or start without a cursor",
        "возьмите next предыдущей страницы без изменений или начните без курсора",
    ),
    "outside_contract": _text(
        "outside the dates of the contract",
        "вне срока договора",
        "send a time within the contract: {contract}",
        "укажите время в пределах договора: {contract}",
    ),
    "not_a_photo": _text(
        "the file begins like neither a JPEG nor a PNG",
        "файл не похож ни на JPEG, ни на PNG",
        "send the photo itself as the body, as a JPEG or PNG file",
        "пришлите в теле запроса сам файл JPEG или PNG",
    ),
    "other_type": _text(
        "the file is {found}",
        "файл на самом деле {found}",
        "send it with Content-Type {found}",
        "пришлите его с Content-Type {found}",
    ),
    "damaged_photo": _text(
        "the photo is damaged or incomplete",
        "файл повреждён или неполон",
        "check that it opens, and send it again or take another photo",
        "проверьте, что он открывается, и пришлите его ещё раз или сделайте другое фото",
    ),
    "too_many_pixels": _text(
        "the photo is too large",
        "снимок слишком велик",
        "send at most {most} megapixels: a smaller copy will do",
        "не больше {most} мегапикселей: достаточно уменьшенной копии",
    ),
    "too_few_pixels": _text(
        "the photo is too small to show a display",
        "снимок слишком мал, показаний на нём не видно",
        "send a photo of at least {least} pixels on each side",
        "каждая сторона должна быть не меньше {least} пикселей",
    ),
    "no_entry": _text(
        "nothing was typed in for this time by whom the photo is from",
        "на это время автор фото показаний не вводил",
        "submit the readings first, then send the photo with the same taken_at",
        "сначала передайте показания, затем пришлите фото с тем же taken_at",
    ),
    "not_a_day": _text("not a day", "это не день", "write a date like 2026-03-10", "пишите дату: 2026-03-10"),
    "not_a_month": _text("not a month", "это не месяц", "write a month like 2026-03", "пишите месяц: 2026-03"),
    "not_an_inn": _text(
        "not a taxpayer number (INN)", "это не ИНН", "write its 10 or 12 digits", "ИНН — это 10 или 12 цифр"
    ),
    "not_a_zone": _text(
        "there is no such time zone",
        "такого часового пояса нет",
        "write an IANA name like Europe/Samara",
        "пишите имя IANA, например Europe/Samara",
    ),
    "too_many_lines": _text(
        "there are too many lines for this format",
        "строк для этого формата слишком много",
        "ask for at most {most} lines: name fewer points, or take xlsx",
        "не больше {most} строк: назовите меньше точек или возьмите xlsx",
    ),
    "too_many_rows": _text(
        "there are too many rows for this format",
        "строк для этого формата слишком много",
        "ask for at most {most} rows: a shorter range, fewer points, or CSV",
        "не больше {most} строк: возьмите период короче, точек меньше или формат CSV",
    ),
    "not_momentary": _text(
        "the channel is not a momentary value",
        "канал — не мгновенная величина",
        "use a channel C.7.E such as 32.7.0, or leave it out",
        "возьмите канал C.7.E, например 32.7.0, или не указывайте его",
    ),
    "too_many_days": _text(
        "the range is too long",
        "период слишком велик",
        "ask for at most {most} days at once",
        "не больше {most} дней за один раз",
    ),
    "too_many_moments": _text(
        "there are too many values in this range",
        "в этом периоде слишком много значений",
        "at most {most} are looked at: ask for fewer days, or for one channel",
        "рассматривается не больше {most}: возьмите меньше дней или один канал",
    ),
    "no_contract": _text(
        "this consumer has no contract at the point now",
        "у потребителя сейчас нет договора по этой точке",
        "check the consumer, or leave the field out",
        "проверьте потребителя или уберите поле",
    ),
    "reason_of_refusal": _text(
        "a reason belongs to a refusal, and a refusal has one",
        "причина указывается при отказе, и только при нём",
        'send reason with "to": "refused" only, in words for the consumer',
        'указывайте reason только с "to": "refused", словами для потребителя',
    ),
    "exchange_of_replacement": _text(
        "an exchange belongs to a replacement that is done, and such a one has it",
        "данные о замене указываются при выполнении заявки на замену, и только при нём",
        'send exchange with "to": "done" of a replacement: at, meter, closing and opening',
        'указывайте exchange с "to": "done" заявки на замену: at, meter, closing и opening',
    ),
    "bad_key": _text(
        "not a key",
        "это не ключ",
        "use 1 to 255 visible ASCII characters, a random UUID for example",
        "от 1 до 255 видимых знаков ASCII, например случайный UUID",
    ),
    "repeated_key": _text(
        "the key is written twice", "ключ указан дважды", "send each key once", "укажите каждый ключ один раз"
    ),
}
"""Every fault of a field, by its stable code."""
