"""A meter model's register map: where each channel lies and how it is packed. Pure.

A map is a set of spans; a read must lie inside one of them whole, else the meter answers "illegal address".
Addresses inside a span that carry nothing read as the model's filler word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from simulators.packing import Pack

VOLTS = ("32.7.0", "52.7.0", "72.7.0")
AMPERES = ("31.7.0", "51.7.0", "71.7.0")
WATTS = ("21.7.0", "41.7.0", "61.7.0")
PHASE_ENERGY = ("21.8.0", "41.8.0", "61.8.0")
PHASE_REACTIVE = ("23.8.0", "43.8.0", "63.8.0")


@dataclass(frozen=True)
class Field:
    """One value of the map: its first wire address (0-based), its OBIS channel, its packing."""

    address: int
    channel: str
    pack: Pack


def row(first: int, channels: tuple[str, ...], pack: Pack, step: int = 2) -> tuple[Field, ...]:
    """Channels that lie one after another, `step` registers apart."""
    return tuple(Field(first + i * step, channel, pack) for i, channel in enumerate(channels))


@dataclass(frozen=True)
class SerialField:
    """Where a meter tells its serial number: an unsigned 32-bit number, or `text` padded with zero bytes."""

    functions: frozenset[int]
    address: int
    words: int
    text: bool = False
    offset: int = 0  # what a number's registers stand above the printed one

    def cut(self, serial: str, function: int, address: int, count: int) -> bytes | None:
        """These registers; None when the read is not inside the serial number's."""
        begin = address - self.address
        if function not in self.functions or begin < 0 or begin + count > self.words:
            return None
        return self._pack(serial)[2 * begin : 2 * (begin + count)]

    def _pack(self, serial: str) -> bytes:
        size = 2 * self.words
        if self.text:
            return serial.encode("ascii", "replace")[:size].ljust(size, b"\0")
        # A serial number with letters has no number; a meter would not be made so.
        number = int(serial) + self.offset if serial.isdecimal() else 0
        return number.to_bytes(8, "big")[-size:]


@dataclass(frozen=True)
class Layout:
    """What one meter model answers to which function codes, and what its counters can resolve (kWh).

    Values are packed once into an image of all spans; a read is a slice of it.
    """

    model: str
    source: str
    functions: frozenset[int]
    fields: tuple[Field, ...]
    spans: tuple[tuple[int, int], ...]  # first address and the one after the last
    phases: int
    resolution: Decimal
    digits: int
    filler: int = 0
    limit: int = 125  # registers in one request; beyond it "illegal data value"
    serial: SerialField | None = None

    def image(self, values: Mapping[str, Decimal]) -> bytes:
        """All spans' registers, packed one after another."""
        image = bytearray(self._blank)
        for offset, field in self._placed:
            packed = field.pack(values.get(field.channel))
            image[offset : offset + len(packed)] = packed
        return bytes(image)

    def cut(self, image: bytes, address: int, count: int) -> bytes | None:
        """The registers from `address` on; None when they are not wholly inside one span."""
        for first, end, offset in self._offsets:
            if first <= address and address + count <= end:
                begin = offset + 2 * (address - first)
                return image[begin : begin + 2 * count]
        return None

    def words(self, values: Mapping[str, Decimal]) -> dict[int, int]:
        """The whole map as wire address -> 16-bit word."""
        image = self.image(values)
        return {
            address: int.from_bytes(image[offset + 2 * (address - first) :][:2], "big")
            for first, end, offset in self._offsets
            for address in range(first, end)
        }

    @cached_property
    def known_functions(self) -> frozenset[int]:
        """Function codes that are answered at all."""
        return self.functions | (self.serial.functions if self.serial else frozenset())

    @cached_property
    def _offsets(self) -> tuple[tuple[int, int, int], ...]:
        placed, offset = [], 0
        for first, end in self.spans:
            placed.append((first, end, offset))
            offset += 2 * (end - first)
        return tuple(placed)

    @cached_property
    def _placed(self) -> tuple[tuple[int, Field], ...]:
        return tuple((self._offset(field.address), field) for field in self.fields)

    @cached_property
    def _blank(self) -> bytes:
        size = sum(end - first for first, end in self.spans)
        return self.filler.to_bytes(2, "big") * size

    def _offset(self, address: int) -> int:
        for first, end, offset in self._offsets:
            if first <= address < end:
                return offset + 2 * (address - first)
        raise ValueError(f"{self.model}: field {address:#06x} is outside of its spans")
