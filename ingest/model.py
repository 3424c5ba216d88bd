"""The words of the field as frozen values: points, meters, installations, registers, readings and their quality.

Energies and momentary values are `Decimal` in the base unit of their channel (kWh, kvarh, V, A, W, var, VA, Hz, 1).
Instants are timezone-aware. A float energy or a naive instant is refused when the object is built, so that nothing
behind the door has to ask again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import IntEnum, IntFlag
from zoneinfo import ZoneInfo

from ingest.channel import LARGEST_MICRO, MICRO, is_counter, unit_of


class Source(IntEnum):
    """Who gave a reading. The numbers are what the database keeps."""

    INSPECTION = 1
    AUTOMATIC = 2
    IMPORT = 3
    OPERATOR = 4
    CONSUMER = 5
    ESTIMATE = 6

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def by_person(self) -> bool:
        """Typed in by somebody: judged softly, corrected by superseding."""
        return self in PEOPLE


PEOPLE = frozenset({Source.INSPECTION, Source.OPERATOR, Source.CONSUMER})


class Quality(IntEnum):
    """Trust in a reading or an amount; a sum has the worst (the greatest) of its parts. MISSING is for amounts only."""

    GOOD = 0
    ESTIMATED = 1
    SUSPECT = 2
    MISSING = 3

    @property
    def label(self) -> str:
        return self.name.lower()


class Reason(IntFlag):
    """Why a reading is suspect; several may hold at once. The bits are what the database keeps."""

    BELOW_PREVIOUS = 1
    ABOVE_MAX_RATE = 2
    STUCK = 4
    FUTURE_TIME = 8
    BEFORE_INSTALLATION = 16
    ZONE_SUM = 32
    DISPUTED = 64
    CLOCK_DRIFT = 128
    TOO_MANY_DIGITS = 256

    @property
    def labels(self) -> list[str]:
        """The machine-readable names, in a stable order; empty for no reason."""
        return [bit.name.lower() for bit in type(self) if bit in self and bit.name]


NO_REASON = Reason(0)
_LARGEST = Decimal(LARGEST_MICRO // MICRO)
_ZERO = Decimal(0)
_put = object.__setattr__


def check_aware(name: str, instant: datetime) -> None:
    """Raise ValueError naming the field when an instant carries no zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"{name} {instant.isoformat()} has no time zone; write it with its offset, like +04:00")


def check_decimal(name: str, value: Decimal) -> None:
    """Raise TypeError for anything but Decimal (a float above all), ValueError for NaN and infinities."""
    if type(value) is not Decimal:
        raise TypeError(f"{name} {value!r} is {type(value).__name__}, not Decimal; energy is never a float")
    if not value.is_finite():
        raise ValueError(f"{name} {value} is not a finite number")


@dataclass(frozen=True, slots=True, init=False)
class Reading:
    """The value of one register at an instant, before judgement.

    `meter` is the serial number, `channel` the OBIS code, `value` in the channel's base unit. `captured_at` is when a
    collector, gateway or person had the value in hand (None: on receipt); with the meter's own `taken_at` it shows the
    drift of the meter's clock. `author` and `note` belong to readings given by people.
    """

    meter: str
    channel: str
    taken_at: datetime
    value: Decimal
    source: Source = Source.AUTOMATIC
    captured_at: datetime | None = None
    author: str | None = None
    note: str | None = None

    def __init__(
        self,
        meter: str,
        channel: str,
        taken_at: datetime,
        value: Decimal,
        source: Source = Source.AUTOMATIC,
        captured_at: datetime | None = None,
        author: str | None = None,
        note: str | None = None,
    ) -> None:
        """Written out, because tens of thousands are made a second: two thirds of what the generated one costs."""
        put = _put
        put(self, "meter", meter)
        put(self, "channel", channel)
        put(self, "taken_at", taken_at)
        put(self, "value", value)
        put(self, "source", source)
        put(self, "captured_at", captured_at)
        put(self, "author", author)
        put(self, "note", note)
        try:
            # Nearly every reading passes here; the rules with their reasons are below.
            if (
                type(value) is Decimal
                and _ZERO <= value <= _LARGEST
                and taken_at.tzinfo is not None
                and captured_at is None
            ):
                return
        except InvalidOperation:  # NaN compares to nothing
            pass
        self._check()

    def _check(self) -> None:
        """Every rule, with its reason."""
        check_decimal("value", self.value)
        if self.taken_at.tzinfo is None:
            check_aware("taken_at", self.taken_at)
        if self.captured_at is not None:
            check_aware("captured_at", self.captured_at)
        if not -_LARGEST <= self.value <= _LARGEST:
            raise ValueError(f"value {self.value} of {self.channel} is too large to be one; the largest is {_LARGEST}")
        if self.value < 0 and is_counter(self.channel):
            raise ValueError(f"value {self.value} of {self.channel} is negative; an energy counter never is")


@dataclass(frozen=True, slots=True)
class IntervalReading:
    """Energy of one interval of a meter's own load profile: [start, start + length), base unit, before the ratio K."""

    meter: str
    channel: str
    start: datetime
    length: timedelta
    energy: Decimal
    source: Source = Source.AUTOMATIC

    def __post_init__(self) -> None:
        check_decimal("energy", self.energy)
        check_aware("start", self.start)
        if self.energy < 0 and is_counter(self.channel):
            raise ValueError(f"energy {self.energy} of {self.channel} is negative; what a counter adds never is")
        if self.length <= timedelta(0):
            raise ValueError(f"length {self.length} is not positive; a load profile interval is 15, 30 or 60 minutes")


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """What a model says of one register: channel, integer digits (None: unknown), decimals, greatest rate.

    `max_rate` is in the channel's units per hour: kWh per hour for energy taken.
    """

    channel: str
    digits: int | None = None
    decimals: int = 3
    max_rate: Decimal | None = None

    def __post_init__(self) -> None:
        unit_of(self.channel)
        if self.digits is not None and not 1 <= self.digits <= 12:
            raise ValueError(f"digits {self.digits} of {self.channel} is out of range; a register has 1 to 12")
        if not 0 <= self.decimals <= 6:
            raise ValueError(f"decimals {self.decimals} of {self.channel} is out of range; a register has 0 to 6")
        if self.max_rate is not None:
            check_decimal("max_rate", self.max_rate)
            if self.max_rate <= 0:
                raise ValueError(f"max_rate {self.max_rate} of {self.channel} is not positive")


@dataclass(frozen=True, slots=True)
class Register:
    """One counter (or momentary quantity) of one meter, as stored. `id` is the database's number for it."""

    id: int
    meter: str
    channel: str
    digits: int | None
    decimals: int
    max_rate: Decimal | None
    installed_since: datetime | None = None
    """Since when the meter has stood anywhere; None while it never did."""

    @property
    def unit(self) -> str:
        return unit_of(self.channel)

    @property
    def modulus(self) -> Decimal | None:
        """The value at which the counter wraps to zero, or None when the number of digits is unknown."""
        return None if self.digits is None else Decimal(10) ** self.digits


@dataclass(frozen=True, slots=True)
class MeteringPoint:
    """A place consumption is owed at; it outlives meters. `code` is our stable name of it, `zone` an IANA time zone."""

    code: str
    name: str = ""
    address: str = ""
    zone: str = "Europe/Moscow"
    category: str = "household"
    official_code: str | None = None

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


@dataclass(frozen=True, slots=True)
class Meter:
    """A device with a serial number and a model, reached by a line with a bus address, by a gateway, or by nobody.

    `options` is what a session with it needs besides its address; they may hold a password and are left out of what is
    shown of it. `verified_until` is the last day of its verification ("поверка"), None when nobody said.
    """

    serial: str
    model: str
    line: str | None = None
    address: str | None = None
    gateway: str | None = None
    period: timedelta = timedelta(minutes=30)
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    verified_until: date | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """Which meter stood at which point over [since, until), with the current and voltage transformer ratios.

    `opening` and `closing` are the register values by channel when it was put up and taken down.
    """

    point: str
    meter: str
    since: datetime
    until: datetime | None = None
    ct: Decimal = Decimal(1)
    vt: Decimal = Decimal(1)
    opening: Mapping[str, Decimal] = field(default_factory=dict)
    closing: Mapping[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_aware("since", self.since)
        if self.until is not None:
            check_aware("until", self.until)
            if self.until <= self.since:
                raise ValueError(f"until {self.until.isoformat()} is not after since {self.since.isoformat()}")
        for name, ratio in (("ct", self.ct), ("vt", self.vt)):
            check_decimal(name, ratio)
            if ratio <= 0:
                raise ValueError(f"{name} {ratio} is not positive; write 1 where there is no transformer")

    @property
    def ratio(self) -> Decimal:
        """K: what register steps are multiplied by, exactly once."""
        return self.ct * self.vt


@dataclass(frozen=True, slots=True)
class Line:
    """A wire or socket that carries questions: `kind` like 'modbus-tcp', `address` like 'host:port' or a device."""

    name: str
    kind: str
    address: str
    options: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Polled:
    """A meter as its line's owner sees it. `zone` aligns the schedule to the clock of the point it serves.

    `options` may hold a password: they are left out of what is shown of it.
    """

    serial: str
    model: str
    address: str
    period: timedelta
    zone: str = "UTC"
    options: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PolledLine:
    """A line with every meter asked over it: the whole work of one owner."""

    line: Line
    meters: tuple[Polled, ...]


def worst(qualities: Iterable[Quality]) -> Quality:
    """The worst of several qualities; MISSING of none, because absence is never good."""
    return max(qualities, default=Quality.MISSING)
