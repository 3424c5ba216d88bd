"""One table of a fleet file, read field by field. Every mistake is noted, so that one look names all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from ingest.channel import check_channel, to_micro
from ingest.model import RegisterSpec
from storage.fleet_mistake import ABSENT, Mistake

_PERIOD = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_LONGEST_PERIOD = timedelta(days=31)
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


class Entry:
    """Readers give back a harmless value after a mistake; `sound` then is False and the entry is not to be used."""

    def __init__(
        self, table: str, label: str, line: int | None, raw: Mapping[str, object], mistakes: list[Mistake]
    ) -> None:
        self._table = table
        self._label = label
        self._line = line
        self._raw = raw
        self._mistakes = mistakes
        self._asked: set[str] = set()
        self.sound = True

    def wrong(self, field: str, remedy: str, value: object = ABSENT) -> None:
        """Note a mistake; without `value` the field's own is shown."""
        shown = self._raw.get(field, ABSENT) if value is ABSENT else value
        self._mistakes.append(Mistake(self._table, self._label, self._line, field, shown, remedy))
        self.sound = False

    def has(self, field: str) -> bool:
        return field in self._raw

    def text(self, field: str, default: str | None = None) -> str:
        """A text; required and not blank without a default."""
        return self._text(field, self._take(field, required=default is None), default or "", default is not None)

    def text_or_none(self, field: str) -> str | None:
        value = self._take(field)
        return None if value is ABSENT else self._text(field, value, "", False)

    def bus_address(self, field: str) -> str | None:
        """A number or a text, kept as text; None when absent."""
        value = self._take(field)
        if value is ABSENT:
            return None
        return str(value) if type(value) is int and value >= 0 else self._text(field, value, "", False)

    def number(self, field: str, default: Decimal) -> Decimal:
        """An exact positive number: whole, decimal or as text."""
        value = self._take(field)
        number = default if value is ABSENT else self._decimal(field, value)
        if number is not None and number > 0:
            return number
        if number is not None:
            self.wrong(field, "write a number above zero, like 1 or 40")
        return default

    def period(self, field: str, default: timedelta) -> timedelta:
        """A length of time like "30m", "1h", "1h30m" or "1d"."""
        value = self._take(field)
        if value is ABSENT:
            return default
        match = _PERIOD.fullmatch(value) if isinstance(value, str) and value else None
        if match and all(len(part or "") < 8 for part in match.groups()):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
            if timedelta(0) < length <= _LONGEST_PERIOD:
                return length
        self.wrong(field, 'write a length of time from "1s" to "31d", like "30m", "1h" or "1h30m"')
        return default

    def instant(self, field: str, zone: str) -> datetime:
        """A required date (00:00 in the zone) or an offset date-time, in UTC."""
        value = self._take(field, required=True)
        return _ANY if value is ABSENT else self._instant(field, value, zone)

    def instant_or_none(self, field: str, zone: str) -> datetime | None:
        value = self._take(field)
        return None if value is ABSENT else self._instant(field, value, zone)

    def day_or_none(self, field: str) -> date | None:
        """A day without a time; None when absent."""
        value = self._take(field)
        if value is ABSENT:
            return None
        if type(value) is date and 1950 <= value.year < 2200:
            return value
        self.wrong(field, "write a day of the years 1950 to 2199, like 2031-05-01, without quotation marks")
        return None

    def values(self, field: str) -> dict[str, Decimal]:
        """Register values by channel, like {"1.8.0" = "12345.6"}."""
        value = self._take(field)
        if value is ABSENT:
            return {}
        if not isinstance(value, dict):
            self.wrong(field, 'write values by channel, like {"1.8.0" = "12345.6"}')
            return {}
        read = {channel: self._value(field, channel, one) for channel, one in value.items()}
        return {channel: number for channel, number in read.items() if number is not None}

    def registers(self, field: str) -> dict[str, RegisterSpec]:
        """Register descriptions by channel, like [{channel="1.8.0", digits=6, decimals=2, max_rate="15"}]."""
        value = self._take(field)
        if value is ABSENT:
            return {}
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.wrong(field, 'write a list like [{channel="1.8.0", digits=6, decimals=2, max_rate="15"}]')
            return {}
        found: dict[str, RegisterSpec] = {}
        for one in value:
            spec = self._register(field, one)
            if spec is not None and spec.channel in found:
                self.wrong(field, f"channel {spec.channel} is described twice; keep one", one)
            elif spec is not None:
                found[spec.channel] = spec
        return found

    def options(self, field: str) -> dict[str, object]:
        """A table of settings as JSON can keep it."""
        value = self._take(field)
        if value is ABSENT:
            return {}
        if isinstance(value, dict):
            plain = {key: _plain(one) for key, one in value.items()}
            if not any(one is ABSENT for one in plain.values()):
                return plain
        self.wrong(field, "write a table of texts, numbers, true, false and lists, like {timeout = 0.5}")
        return {}

    def finish(self) -> None:
        """Note every field that nobody asked for."""
        for field in sorted(self._raw.keys() - self._asked):
            near = get_close_matches(field, self._asked, 1)
            known = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(self._asked))}"
            self.wrong(field, f"this key is unknown; {known}")

    def _take(self, field: str, *, required: bool = False) -> object:
        self._asked.add(field)
        value = self._raw.get(field, ABSENT)
        if value is ABSENT and required:
            self.wrong(field, "is missing; write it")
        return value

    def _text(self, field: str, value: object, default: str, may_be_empty: bool) -> str:
        if value is ABSENT:
            return default
        if not isinstance(value, str):
            self.wrong(field, f'write it as a text in quotation marks, like {field} = "{value}"')
        elif value != value.strip() or not value.isprintable():
            self.wrong(field, "remove the spaces around it and the characters that cannot be printed")
        elif not value and not may_be_empty:
            self.wrong(field, "is empty; write a text")
        else:
            return value
        return default

    def _decimal(self, field: str, value: object, shown: object = ABSENT) -> Decimal | None:
        number = None
        if isinstance(value, int | str | Decimal) and not isinstance(value, bool):
            try:
                number = Decimal(value)
            except InvalidOperation:
                number = None
        if number is None or not number.is_finite():
            self.wrong(field, 'write an exact number, like "12345.678"', shown)
            return None
        return number

    def _value(self, field: str, channel: str, value: object) -> Decimal | None:
        shown = {channel: value}
        try:
            check_channel(channel)
        except ValueError as e:
            self.wrong(field, str(e), shown)
            return None
        number = self._decimal(field, value, shown)
        if number is None:
            return None
        if number < 0 or number >= 10**12 or number != Decimal(to_micro(number)).scaleb(-6):
            self.wrong(field, "a register shows at most 12 digits and 6 decimals, and nothing below zero", shown)
            return None
        return number

    def _register(self, field: str, raw: Mapping[str, object]) -> RegisterSpec | None:
        one = Entry(self._table, self._label, self._line, raw, self._mistakes)
        channel = one.text("channel")
        digits = one._whole("digits", 1, 12)
        decimals = one._whole("decimals", 0, 6)
        rate = one.number("max_rate", Decimal(1)) if one.has("max_rate") else None
        one._asked.add("max_rate")
        one.finish()
        self.sound = self.sound and one.sound
        if not one.sound:
            return None
        try:
            return RegisterSpec(channel, digits, 3 if decimals is None else decimals, rate)
        except ValueError as e:
            self.wrong(field, str(e), dict(raw))
            return None

    def _whole(self, field: str, least: int, most: int) -> int | None:
        value = self._take(field)
        if value is ABSENT:
            return None
        if type(value) is int and least <= value <= most:
            return value
        self.wrong(field, f"write a whole number from {least} to {most}")
        return None

    def _instant(self, field: str, value: object, zone: str) -> datetime:
        if isinstance(value, date) and not 1950 <= value.year < 2200:
            self.wrong(field, "check the year; it has to be within 1950 to 2199")
        elif isinstance(value, datetime) and value.utcoffset() is not None:
            return value.astimezone(UTC)
        elif type(value) is date:
            return datetime.combine(value, time(), ZoneInfo(zone)).astimezone(UTC)
        else:
            self.wrong(
                field,
                "write a date (it means 00:00 in the point's zone) or a date-time with its offset, like "
                "2026-11-20 or 2026-11-20T14:30:00+04:00, without quotation marks",
            )
        return _ANY


def _plain(value: object) -> object:
    """A TOML value as JSON can keep it; ABSENT when it cannot."""
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else ABSENT
    if isinstance(value, list):
        items = [_plain(one) for one in value]
        return ABSENT if any(one is ABSENT for one in items) else items
    if isinstance(value, dict):
        fields = {key: _plain(one) for key, one in value.items()}
        return ABSENT if any(one is ABSENT for one in fields.values()) else fields
    return value if isinstance(value, str | bool | int) else ABSENT
