"""What a meter model with a protocol of its own is: what is asked, what the answers hold, what its memory keeps.

The facts are TOML data in `meters/<slug>.toml`, read strictly by `serial_model_file.py`; what all models of a protocol
have in common (frames, sessions, the packing of numbers) is code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from collectors.archive import Depth, Kind
from collectors.iec_data import items as iec_items
from collectors.iec_data import number
from collectors.iec_frames import Bcc
from collectors.mercury_numbers import KINDS
from ingest.model import RegisterSpec


class Tongue(StrEnum):
    """The protocols besides Modbus."""

    MERCURY_230 = "mercury-230"
    MERCURY_206 = "mercury-206"
    IEC = "iec-62056-21"

    @property
    def is_binary(self) -> bool:
        """Asked in bytes (written as hexadecimal digits) rather than by name."""
        return self is not Tongue.IEC


class Reach(StrEnum):
    """Which dates an archive's question can be about."""

    DATE = "date"
    """Any, by its date."""
    TODAY = "today"
    YESTERDAY = "yesterday"
    MONTH = "month"
    """The 1st of one of the last twelve months, by the month's number."""


@dataclass(frozen=True, slots=True)
class Item:
    """One value of an answer: at which byte (or which item of a data set), how packed, and its factor to base units."""

    channel: str
    at: int
    kind: str
    factor: Decimal
    digits: int | None = None
    decimals: int = 3
    max_rate: Decimal | None = None

    @property
    def spec(self) -> RegisterSpec:
        return RegisterSpec(self.channel, self.digits, self.decimals, self.max_rate)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question and what its answer holds. `send` is bytes in hexadecimal digits, or NAME(argument)."""

    send: str
    size: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """Registers as of 00:00: `ask.send` has {day}, {month}, {year} (two decimal digits), {month0} (00 is January)
    or {monthx} (one hexadecimal digit) in it.

    `ends` says that the date names the day or month whose end it is. `proof` is another question whose answer must be
    the same for the newest date (today, for months the 1st of this one): before it agreed, a meter's answers by date
    are not believed.
    """

    kind: Kind
    reach: Reach
    ask: Ask
    depth: int
    ends: bool = False
    proof: str | None = None

    def question(self, day: date, today: date) -> str | None:
        """What to send for the registers as of 00:00 of this day; None when this archive cannot have it."""
        return self._filled(self.ask.send, day) if self._reaches(day, today) else None

    def proven_by(self, today: date) -> tuple[str, str] | None:
        """The question about the newest date, and the one whose answer must be the same; None without proof."""
        if self.proof is None:
            return None
        newest = today.replace(day=1) if self.kind is Kind.MONTH else today
        return self._filled(self.ask.send, newest), self._filled(self.proof, newest)

    def _filled(self, template: str, day: date) -> str:
        if self.ends:
            day -= timedelta(days=1)
        fields = {"day": f"{day.day:02d}", "month": f"{day.month:02d}", "year": f"{day.year % 100:02d}"}
        return template.format(**fields, month0=f"{day.month - 1:02X}", monthx=f"{day.month:X}")

    def _reaches(self, day: date, today: date) -> bool:
        months = (today.year - day.year) * 12 + today.month - day.month
        if day > today or (self.kind is Kind.MONTH and day.day != 1):
            return False
        match self.reach:
            case Reach.TODAY:
                return day == today
            case Reach.YESTERDAY:
                return day == today - timedelta(days=1)
            case Reach.MONTH:
                return months < min(self.depth, 12)
        return months < self.depth if self.kind is Kind.MONTH else (today - day).days < self.depth


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """A ring of `records` intervals, newest last; the channels in the order they stand in a record."""

    records: int
    minutes: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The data of an answer seen on a wire (or printed in a manual) and what it means; None is "no value"."""

    send: str
    reply: str
    channel: str
    expected: Decimal | None


@dataclass(frozen=True, slots=True)
class SerialModel:
    """A meter model. `serial`, `date` and `time` are IEC names; `passwords` are the maker's own, not secrets.

    `unsupported` tells people what the meter keeps and nobody reads of it, and why.
    """

    slug: str
    manufacturer: str
    name: str
    source: str
    tongue: Tongue
    asks: tuple[Ask, ...]
    archives: tuple[Archive, ...] = ()
    profile: LoadProfile | None = None
    passwords: tuple[str, ...] = ()
    bcc: Bcc = Bcc.XOR
    readout: bool = False
    serial: str | None = None
    date: str | None = None
    time: str | None = None
    samples: tuple[Sample, ...] = ()
    unsupported: tuple[str, ...] = ()
    timeout: float = 0.5
    pause: float = 0.0

    @property
    def specs(self) -> tuple[RegisterSpec, ...]:
        """What storage has to know of the model's registers."""
        return tuple(item.spec for ask in self.asks for item in ask.items)

    @property
    def depth(self) -> Depth:
        """How far back its memory reaches."""
        profile = self.profile
        return Depth(
            days=max((one.depth for one in self.archives if one.kind is Kind.DAY), default=0),
            months=max((one.depth for one in self.archives if one.kind is Kind.MONTH), default=0),
            intervals=profile.records if profile else 0,
            length=timedelta(minutes=profile.minutes if profile else 30),
        )


def decode(tongue: Tongue, ask: Ask, data: bytes) -> Iterator[tuple[Item, Decimal | None]]:
    """The values of an answer in base units, None where it says that there is none. Malformed for what is no number."""
    if tongue.is_binary:
        for item in ask.items:
            kind = KINDS[item.kind]
            value = kind.read(data[item.at : item.at + kind.size])
            yield item, None if value is None else value * item.factor
        return
    name = ask.send.partition("(")[0]
    found = iec_items(name, data)
    for item in ask.items:
        value = number(name, found[item.at]) if item.at < len(found) else None
        yield item, None if value is None else value * item.factor


def disagreements(model: SerialModel) -> Iterator[str]:
    """Which of the model's own samples decode to something else than they state."""
    asks = (*model.asks, *(one.ask for one in model.archives))
    for sample in model.samples:
        data = bytes.fromhex(sample.reply) if model.tongue.is_binary else sample.reply.encode("ascii")
        found = (decode(model.tongue, ask, data) for ask in asks if ask.send == sample.send)
        values = {item.channel: value for one in found for item, value in one}
        got = values.get(sample.channel, "nothing")
        if got != sample.expected:
            yield (
                f"{model.slug}: sample {sample.reply!r} of {sample.channel} decodes to {got}, "
                f"not to {sample.expected}; correct the type, place or scale, or the sample"
            )
