"""One Modbus device: a meter, its layout and its faults. Answers a request PDU with a response PDU. No I/O."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from simulators.breakable import Breakable
from simulators.clock import Clock
from simulators.events import Event
from simulators.faults import Fault, Kind
from simulators.layout import Layout
from simulators.meter import Meter

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_COUNT, BUSY, NO_ANSWER = 1, 2, 3, 6, 11


class Unit(Breakable):
    """A meter behind a unit id. Registers are worked out once per simulated second and kept as an image."""

    def __init__(self, meter: Meter, layout: Layout, clock: Clock, scenario: Sequence[Fault] = ()) -> None:
        super().__init__(clock, scenario)
        self.meter = meter
        self.layout = layout
        self._second: datetime | None = None
        self._image = b""

    def answer(self, pdu: bytes) -> bytes:
        """The response PDU of a healthy device: the registers, or an exception."""
        function = pdu[0]
        if function not in self.layout.known_functions:
            return exception(function, ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return exception(function, ILLEGAL_COUNT)
        address, count = struct.unpack_from(">HH", pdu, 1)
        if not 1 <= count <= self.layout.limit:
            return exception(function, ILLEGAL_COUNT)
        registers = self._registers(function, address, count)
        if registers is None:
            return exception(function, ILLEGAL_ADDRESS)
        return bytes((function, len(registers))) + registers

    def answer_with(self, fault: Fault | None, pdu: bytes) -> bytes:
        """The same under a fault that changes what is said (not how it travels)."""
        if fault is None:
            return self.answer(pdu)
        if fault.kind is Kind.BUSY:
            return exception(pdu[0], BUSY)
        if fault.kind is Kind.ILLEGAL_ADDRESS:
            return exception(pdu[0], ILLEGAL_ADDRESS)
        answer = self.answer(pdu)
        if fault.kind is Kind.SHORT and answer[0] < 0x80 and len(answer) > 4:
            return bytes((answer[0], answer[1] - 2)) + answer[2:-2]
        return answer

    def happen(self, *events: Event) -> None:
        """Let something happen to the meter itself, from the events' own instants on."""
        self.meter = replace(self.meter, events=(*self.meter.events, *events))
        self._second = None

    def image(self) -> bytes:
        """The layout's registers as of the current whole second."""
        now = self.clock.now().replace(microsecond=0)
        if now != self._second:
            self._image = self.layout.image(self.meter.values(now))
            self._second = now
        return self._image

    def _registers(self, function: int, address: int, count: int) -> bytes | None:
        registers = None
        if function in self.layout.functions:
            registers = self.layout.cut(self.image(), address, count)
        if registers is None and self.layout.serial is not None:
            serial = self.meter.serial_at(self.clock.now())
            registers = self.layout.serial.cut(serial, function, address, count)
        return registers


def exception(function: int, code: int) -> bytes:
    """An exception PDU."""
    return bytes((function & 0x7F | 0x80, code))
