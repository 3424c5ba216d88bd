"""A meter model's register map: where each channel lies and how it is packed. Pure.

A map is a set of spans; a read must lie inside one of them whole, else the meter answers "illegal address".
Addresses inside a span that carry nothing read as the model's filler word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from simulators.packing import Pack

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_COUNT, BUSY, NO_ANSWER = 1, 2, 3, 6, 11


class IllegalAddressError(Exception):
    """A read that is not wholly inside the model's map."""


@dataclass(frozen=True)
class Field:
    """One value of the map: its first wire address (0-based), its OBIS channel, its packing."""

    address: int
    channel: str
    pack: Pack


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

    def image(self, values: Mapping[str, Decimal]) -> bytes:
        """All spans' registers, packed one after another."""
        image = bytearray(self._blank)
        for offset, field in self._placed:
            packed = field.pack(values.get(field.channel))
            image[offset : offset + len(packed)] = packed
        return bytes(image)

    def cut(self, image: bytes, address: int, count: int) -> bytes:
        """The registers from `address` on; raises `IllegalAddressError` outside of the map."""
        for first, end, offset in self._offsets:
            if first <= address and address + count <= end:
                begin = offset + 2 * (address - first)
                return image[begin : begin + 2 * count]
        raise IllegalAddressError(f"{self.model} has no registers {address:#06x}…{address + count - 1:#06x}")

    def words(self, values: Mapping[str, Decimal]) -> dict[int, int]:
        """The whole map as wire address -> 16-bit word."""
        image = self.image(values)
        return {
            address: int.from_bytes(image[offset + 2 * (address - first) :][:2], "big")
            for first, end, offset in self._offsets
            for address in range(first, end)
        }

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
        raise IllegalAddressError(f"{self.model}: field {address:#06x} is outside of its spans")
