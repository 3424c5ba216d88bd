"""A meter as a function of time: what its registers show at any instant. Pure; the truth that tests compare with.

Energy is counted in whole steps of the meter's resolution from a load shape, so a counter never runs backwards,
zones add up to the total and so do phases. Channels are OBIS codes C.D.E in kWh, kvarh, V, A, W, Hz.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

from simulators.events import Drift, Event, Exchange, Jump, Restart, Spike, Stall
from simulators.momentary import momentary
from simulators.shape import Shape

TOTAL, DAY, NIGHT, EXPORT, BOTH_WAYS = "1.8.0", "1.8.1", "1.8.2", "2.8.0", "15.8.0"
PHASES = {"1.8.0": ("21.8.0", "41.8.0", "61.8.0"), "3.8.0": ("23.8.0", "43.8.0", "63.8.0")}
SHARED = (EXPORT, "3.8.0", "4.8.0")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_NIGHT_HOURS = frozenset((23, 0, 1, 2, 3, 4, 5, 6))
_DAY_HOURS = frozenset(range(24)) - _NIGHT_HOURS
# How total import divides over three phases, in thousandths: nobody's load is balanced.
_PHASE_SHARE = (400, 330, 270)


@dataclass(frozen=True, slots=True)
class Life:
    """The time one set of counters runs: from its first instant, with what they showed then (kWh)."""

    serial: str
    since: datetime
    start: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meter:
    """A place with a meter in it, and all that will happen there.

    `start` is what the counters show at `since` (kWh by channel); a zone's or a phase's own start is a part of
    the total's. `shares` says which energies beside A+ are metered (2.8.0, 3.8.0, 4.8.0), as a share of A+.
    `digits` are the integer digits of the display: counters wrap at 10**digits. `offset` is the wall clock here.
    """

    serial: str
    shape: Shape
    scale: Decimal = Decimal(1)
    phases: int = 1
    since: datetime = EPOCH
    start: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    shares: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    zones: bool = False
    digits: int = 6
    resolution: Decimal = Decimal("0.01")
    offset: timedelta = timedelta(hours=4)
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if self.since.tzinfo is None:
            raise ValueError(f"meter {self.serial}: since {self.since} has no time zone; add its offset")
        if self.phases not in (1, 3):
            raise ValueError(f"meter {self.serial}: phases {self.phases} must be 1 or 3")
        if self.scale < 0 or self.resolution <= 0 or (self.resolution * 1_000_000) % 1:
            raise ValueError(
                f"meter {self.serial}: scale {self.scale} must not be negative, resolution {self.resolution} kWh must "
                "be positive and a whole number of mWh"
            )
        for channel in self.shares:
            if channel not in SHARED:
                raise ValueError(f"meter {self.serial}: share of {channel} is unknown; one of {', '.join(SHARED)}")

    def values(self, at: datetime) -> dict[str, Decimal]:
        """Every channel this meter has, as its display shows it at `at`. Absent = not metered."""
        for event in self.events:
            if isinstance(event, Stall) and event.begin <= at < event.end:
                at = event.begin
        shown = self._energies(at)
        shown |= momentary(self._life(at).serial, at, self._watts(at), self.phases, self.shares)
        for event in self.events:
            if isinstance(event, Spike) and event.begin <= at < event.end:
                shown[event.channel] = event.value
        return shown

    def serial_at(self, at: datetime) -> str:
        """The serial number of the meter that hangs here at `at`."""
        return self._life(at).serial

    def clock(self, at: datetime) -> datetime:
        """What the meter's own clock shows at the true instant `at`, in its wall clock's offset."""
        gain = timedelta()
        for event in self.events:
            if isinstance(event, Drift) and at > event.begin:
                gain += (at - event.begin) * (event.seconds_per_day / 86_400)
        return (at + gain).astimezone(timezone(self.offset))

    def _life(self, at: datetime) -> Life:
        life = Life(self.serial, self.since, self.start)
        for event in sorted((e for e in self.events if isinstance(e, Restart | Exchange)), key=lambda e: e.at):
            if event.at <= at:
                new = event if isinstance(event, Exchange) else None
                life = Life(new.serial if new else life.serial, event.at, new.start if new else {})
        return life

    def _energies(self, at: datetime) -> dict[str, Decimal]:
        life = self._life(at)
        counts = self._imports(life, at)
        for channel, share in self.shares.items():
            counts[channel] = self._counted(self.shape, life, at, share) + self._start(life, channel)
        for event in self.events:
            if isinstance(event, Jump) and life.since <= event.at <= at:
                counts[event.channel] = counts.get(event.channel, 0) + self._count(event.by)
        counts[BOTH_WAYS] = counts[TOTAL] + counts.get(EXPORT, 0)
        for channel, parts in PHASES.items() if self.phases > 1 else ():
            if channel in counts:
                counts |= zip(parts, _split(counts[channel]), strict=True)
        modulus = self._count(Decimal(10) ** self.digits)
        return {channel: count % modulus * self.resolution for channel, count in counts.items()}

    def _imports(self, life: Life, at: datetime) -> dict[str, int]:
        total_start = self._start(life, TOTAL)
        if not self.zones:
            return {TOTAL: total_start + self._counted(self.shape, life, at, Decimal(1))}
        night_start = self._start(life, NIGHT) if NIGHT in life.start else total_start // 3
        day = total_start - night_start + self._counted(self.shape.only(_DAY_HOURS), life, at, Decimal(1))
        night = night_start + self._counted(self.shape.only(_NIGHT_HOURS), life, at, Decimal(1))
        return {TOTAL: day + night, DAY: day, NIGHT: night}

    def _counted(self, shape: Shape, life: Life, at: datetime, share: Decimal) -> int:
        """Whole steps since the life began; none before it."""
        if at <= life.since:
            return 0
        milliwatt_hours = shape.energy(at + self._shift()) - shape.energy(life.since + self._shift())
        over, under = (self.scale * share / (self.resolution * 1_000_000)).as_integer_ratio()
        return milliwatt_hours * over // under

    def _watts(self, at: datetime) -> Decimal:
        return self.shape.power(at + self._shift()) * self.scale if at >= self.since else Decimal(0)

    def _shift(self) -> timedelta:
        """From our instant to the recorded one that has the same wall clock."""
        return self.offset - (self.shape.start.utcoffset() or timedelta())

    def _start(self, life: Life, channel: str) -> int:
        return self._count(life.start.get(channel, Decimal(0)))

    def _count(self, kwh: Decimal) -> int:
        return int(kwh / self.resolution)


def _split(total: int) -> tuple[int, int, int]:
    """Three phase counters that never run backwards and always add up to the total."""
    first, second, third = _PHASE_SHARE
    two = total * (first + second) // (first + second + third)
    one = two * first // (first + second)
    return one, two - one, total - two
