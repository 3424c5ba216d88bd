"""A Меркурий of the three-phase family: channel with passwords, energies, momentary values, clock and archives. No I/O.

Written from the maker's command system on its own, apart from any driver. Sessions end 240 s after the last good
request, in simulated time.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from simulators.breakable import Breakable
from simulators.clock import Clock
from simulators.faults import Fault
from simulators.memory import Display, Off, Profile, at_midnight
from simulators.mercury_packing import bcd_time, digits, energy, three
from simulators.meter import Meter

BAD_COMMAND, INTERNAL, NO_RIGHT, NOT_OPEN = 1, 2, 3, 5
SESSION = timedelta(seconds=240)
MAKERS_OWN = (b"\x01" * 6, b"\x02" * 6)
"""Passwords of levels 1 and 2 as they leave the works."""
PHASES = {
    0: (("1.7.0", "21.7.0", "41.7.0", "61.7.0"), "0.01"),
    1: (("32.7.0", "52.7.0", "72.7.0"), "0.01"),
    2: (("31.7.0", "51.7.0", "71.7.0"), "0.001"),
    3: (("13.7.0", "33.7.0", "53.7.0", "73.7.0"), "0.001"),
    4: (("14.7.0",), "0.01"),
}
_CONSTANTS = {5000: 0, 25000: 1, 1250: 2, 500: 3, 1000: 4, 250: 5}
_LENGTHS = {0x00: 1, 0x01: 8, 0x02: 1, 0x04: 2, 0x05: 3, 0x06: 5, 0x18: 6}


class Mercury230(Breakable):
    """One meter at a bus address. `dated` says whether it knows command 18h; `off` is when it had no power."""

    def __init__(
        self,
        meter: Meter,
        clock: Clock,
        scenario: Sequence[Fault] = (),
        *,
        passwords: Sequence[bytes] = MAKERS_OWN,
        dated: bool = True,
        constant: int = 1000,
        ratios: tuple[int, int] = (1, 1),
        ring: int = 4096,
        off: Off = (),
    ) -> None:
        super().__init__(clock, scenario)
        self.meter = meter
        self._display = Display(meter)
        self.passwords = tuple(passwords)
        self.dated = dated
        self.constant = constant
        self.ratios = ratios
        self.profile = Profile(meter, 30, ring, off)
        self.opened = 0
        self._open_until: datetime | None = None

    def answer(self, command: bytes) -> bytes:
        """The data of the answer: one byte is a status, 0 for well done."""
        now = self.clock.now()
        if command[0] == 0x00:
            return b"\x00"
        if command[0] == 0x01:
            return self._enter(command, now)
        if self._open_until is None or now > self._open_until:
            self._open_until = None
            return bytes((NOT_OPEN,))
        if command[0] == 0x02:
            self._open_until = None
            return b"\x00"
        said = self._said(command, now)
        if len(said) > 1:
            self._open_until = now + SESSION
        return said

    def expire(self) -> None:
        """Forget the session at once."""
        self._open_until = None

    def _enter(self, command: bytes, now: datetime) -> bytes:
        level = command[1]
        if not 1 <= level <= len(self.passwords) or command[2:] != self.passwords[level - 1]:
            return bytes((NO_RIGHT,))
        self.opened += 1
        self._open_until = now + SESSION
        return b"\x00"

    def _said(self, command: bytes, now: datetime) -> bytes:
        match command[0]:
            case 0x04 if command[1] == 0:
                winter = b"\x01"
                return bcd_time(self.meter.clock(now), "SMHwdmy") + winter
            case 0x05:
                return self._energies(command[1] >> 4, command[1] & 15, command[2], now)
            case 0x06 if command[1] == 3 and command[4] == 15:
                return self._record(int.from_bytes(command[2:4], "big") // 16, now)
            case 0x08:
                return self._parameter(command[1:], now)
            case 0x18 if self.dated:
                return self._dated(command[1:], now)
        return bytes((BAD_COMMAND,))

    def _energies(self, array: int, month: int, tariff: int, now: datetime) -> bytes:
        today = self.meter.clock(now).date()
        if array == 0:
            return self._packed(self._display.at(now), tariff)
        if array == 6:
            values = self._display.at(now)
            return b"".join(energy(values.get(phase)) for phase in ("21.8.0", "41.8.0", "61.8.0"))
        if array in (0xC, 0xD):
            return self._filed(today - timedelta(days=array - 0xC), tariff)
        if array == 0xB and 1 <= month <= 12:
            return self._filed(date(today.year - (month > today.month), month, 1), tariff)
        return bytes((BAD_COMMAND,))

    def _dated(self, rest: bytes, now: datetime) -> bytes:
        """18h: array (0 day, 1 month), BCD day, month, year, tariff."""
        today = self.meter.clock(now).date()
        try:
            day, month, year = (int(f"{one:02x}") for one in rest[1:4])
            wanted = date(2000 + year, month, 1 if rest[0] == 1 else day)
        except ValueError:
            return bytes((BAD_COMMAND,))
        months = (today.year - wanted.year) * 12 + today.month - wanted.month
        too_old = months >= 36 if rest[0] == 1 else (today - wanted).days >= 123
        if wanted > today or too_old or rest[0] > 1:
            return bytes((BAD_COMMAND,))
        return self._filed(wanted, rest[4])

    def _filed(self, day: date, tariff: int) -> bytes:
        return self._packed(at_midnight(self.meter, day), tariff)

    def _packed(self, values: dict[str, Decimal], tariff: int) -> bytes:
        if tariff > 4:
            return bytes((BAD_COMMAND,))
        return b"".join(energy(self._of(values, quantity, tariff)) for quantity in (1, 2, 3, 4))

    def _of(self, values: dict[str, Decimal], quantity: int, tariff: int) -> Decimal | None:
        """A zone of a meter without zones: all of it is the first."""
        total = values.get(f"{quantity}.8.0")
        if tariff == 0 or total is None:
            return total
        if f"{quantity}.8.1" in values:
            return values.get(f"{quantity}.8.{tariff}", Decimal(0))
        return total if tariff == 1 else Decimal(0)

    def _parameter(self, rest: bytes, now: datetime) -> bytes:
        match rest[0]:
            case 0x00:
                number = self.meter.serial_at(now)
                made = digits(1, 1) + digits(2, 1) + digits(24, 1)
                return bytes(int(number[at : at + 2]) for at in range(0, 8, 2)) + made
            case 0x02:
                return b"".join(ratio.to_bytes(2, "big") for ratio in self.ratios)
            case 0x12:
                return bytes((0xB4, 0x20 | _CONSTANTS[self.constant], 0x40, 0, 0, 0))
            case 0x13:
                return self._newest(now)
            case 0x11 | 0x16 if len(rest) == 2:
                return self._momentary(rest[0], rest[1], now)
        return bytes((BAD_COMMAND,))

    def _momentary(self, how: int, what: int, now: datetime) -> bytes:
        values = self._display.at(now)
        channels, step = PHASES.get(what >> 4, ((), "1"))
        if what >> 4 == 0 and what >> 2 & 3:
            return bytes((BAD_COMMAND,))
        if how == 0x11 and len(channels) > 1:
            first = 0 if len(channels) == 4 else 1
            channels = channels[max(what % 4 - first, 0) :][:1]
        if not channels:
            return bytes((BAD_COMMAND,))
        packed = (values.get(channel, Decimal(0)) for channel in channels)
        return b"".join(three(value, step, back=value < 0) for value in packed)

    def _newest(self, now: datetime) -> bytes:
        found = self.profile.last(now)
        if found is None:
            return bytes((INTERNAL,))
        place, record = found
        lapped = self.profile.count(now) > self.profile.size
        when = bcd_time(record.end, "HMdmy")
        return (place * 16).to_bytes(2, "big") + bytes((lapped,)) + when + bytes((self.profile.minutes,))

    def _record(self, place: int, now: datetime) -> bytes:
        record = self.profile.at(place, now) if place < self.profile.size else None
        if record is None:
            return b"\xff" * 15
        head = bytes((0 if record.whole else 2,)) + bcd_time(record.end, "HMdmy") + bytes((self.profile.minutes,))
        return head + b"".join(self._impulses(record.energy.get(f"{quantity}.8.0")) for quantity in (1, 2, 3, 4))

    def _impulses(self, kwh: Decimal | None) -> bytes:
        """Half-impulses of the meter's constant, low byte first."""
        return b"\xff\xff" if kwh is None else int(kwh * 2 * self.constant).to_bytes(2, "little")

    def length(self, heard: bytes) -> int:
        """Bytes of the command that begins here, without address and CRC."""
        if heard[0] == 0x08:
            return 3 if heard[1] in (0x11, 0x14, 0x16) else 2
        return _LENGTHS.get(heard[0], 1)
