"""A Меркурий of the single-phase family (200, 201, 203, 206): tariffs, momentary values, clock, month slices. No I/O.

Written from the maker's protocol on its own, apart from any driver. It has no total register.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from simulators.breakable import Breakable
from simulators.clock import Clock
from simulators.faults import Fault
from simulators.memory import Display, at_midnight
from simulators.mercury_packing import NOTHING, bcd_time, digits
from simulators.meter import Meter


class Mercury206(Breakable):
    """One meter; its address is its serial number unless another one was set. `tariffs` of four are in use."""

    def __init__(
        self,
        meter: Meter,
        clock: Clock,
        scenario: Sequence[Fault] = (),
        *,
        tariffs: int = 2,
    ) -> None:
        super().__init__(clock, scenario)
        self.meter = meter
        self._display = Display(meter)
        self.tariffs = tariffs

    def answer(self, command: bytes) -> bytes | None:
        """The data of the answer; None: it does not know the command and says nothing."""
        now = self.clock.now()
        match command[0]:
            case 0x21:
                return bcd_time(self.meter.clock(now), "wHMSdmy")
            case 0x27:
                return self._zones(self._display.at(now))
            case 0x2F:
                return int(self.meter.serial_at(now)).to_bytes(4, "big")
            case 0x32:
                return self._month(command[1], now)
            case 0x63:
                return self._momentary(now)
        return None

    def length(self, heard: bytes) -> int:
        """Bytes of the command that begins here, without address and CRC."""
        return 2 if heard[0] == 0x32 else 1

    def _zones(self, values: dict[str, Decimal]) -> bytes:
        zones = (values.get(f"1.8.{tariff}") for tariff in range(1, 5))
        shown = [values["1.8.0"], None, None, None] if self.tariffs == 1 else list(zones)
        return b"".join(NOTHING if kwh is None else digits(int(kwh * 100), 4) for kwh in shown)

    def _month(self, number: int, now: datetime) -> bytes | None:
        """Registers at 00:00 of the 1st: low half 0 January … Bh December; 0Fh the present month."""
        today = self.meter.clock(now).date()
        month = today.month if number == 0x0F else number + 1
        if not 1 <= month <= 12:
            return None
        return self._zones(at_midnight(self.meter, date(today.year - (month > today.month), month, 1)))

    def _momentary(self, now: datetime) -> bytes:
        values = self._display.at(now)
        volts, amperes, watts = values["32.7.0"], values["31.7.0"], values["1.7.0"]
        return digits(int(volts * 10), 2) + digits(int(amperes * 100), 2) + digits(int(watts), 3)
