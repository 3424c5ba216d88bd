"""The receiving side of MQTT's framing: bytes in, PUBLISH packets decoded in bulk, every other packet left whole. Pure.

Source: MQTT 5.0 (OASIS, 2019) and 3.1.1, sections 2.1 (fixed header), 3.3 (PUBLISH), 3.4 (PUBACK).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ingest.errors import Malformed

LARGEST_FRAME = 16 << 20
"""Bytes of one packet kept in memory. Of a longer PUBLISH the head is kept, the rest is read and thrown away."""

_PUBLISH = 0x30


class Publish(NamedTuple):
    """One PUBLISH packet. `mid` is 0 for QoS 0; `cut` is how many bytes of an enormous payload were thrown away."""

    topic: str
    payload: bytes
    mid: int
    retained: bool
    cut: int = 0


def puback(mids: Iterable[int]) -> bytes:
    """PUBACK packets for these message ids, to be sent in one go."""
    return b"".join([b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids])


class Frames:
    """Cuts one connection's byte stream into packets. `properties` is True on MQTT 5."""

    def __init__(self, *, properties: bool, largest: int = LARGEST_FRAME) -> None:
        self._properties = properties
        self._largest = largest
        self._parts: list[bytes] = []
        self._missing = 0
        self._skip = 0

    def feed(self, data: bytes) -> list[Publish | bytes]:
        """The packets these bytes complete, in order. Malformed when they are no MQTT: the connection is lost then."""
        if self._skip:
            self._skip, data = max(0, self._skip - len(data)), data[self._skip :]
        if self._missing > len(data):
            self._missing -= len(data)
            self._parts.append(data)
            return []
        if self._parts:
            data = b"".join([*self._parts, data])
            self._parts = []
        self._missing = 0
        return self._cut(data)

    def _cut(self, data: bytes) -> list[Publish | bytes]:
        packets: list[Publish | bytes] = []
        start, end = 0, len(data)
        while end - start >= 2:
            length, body = data[start + 1], start + 2
            if length & 0x80:
                length, body = _variable_integer(data, start + 1)
                if not body:
                    break
            excess = max(0, length - self._largest)
            stop = body + length - excess
            if stop > end:
                self._missing = stop - end
                break
            if data[start] & 0xF0 == _PUBLISH:
                packets.append(self._publish(data[start], data, body, stop, excess))
            elif excess:
                raise Malformed(f"the broker sent a packet of {length} bytes that is no message; is it an MQTT broker?")
            else:
                packets.append(data[start:stop])
            start = stop + excess
        if start > end:
            self._skip = start - end
        elif start < end:
            self._parts = [data[start:]]
        return packets

    def _publish(self, header: int, data: bytes, at: int, stop: int, excess: int) -> Publish:
        begin = at + 2 + int.from_bytes(data[at : at + 2], "big")
        topic = data[at + 2 : begin]
        mid = 0
        if header & 0x06:
            mid = int.from_bytes(data[begin : begin + 2], "big")
            begin += 2
        if self._properties and begin < stop and data[begin] == 0:
            begin += 1
        elif self._properties:
            length, after = _variable_integer(data[:stop], begin)
            begin = after + length if after else stop + 1
        if begin > stop or header & 0x06 not in (0, 2) or (mid == 0) == bool(header & 0x06):
            raise Malformed(
                f"the broker sent a message that is not MQTT: {data[at : at + 40]!r}; is its version right?"
            )
        return Publish(topic.decode("utf-8", "backslashreplace"), data[begin:stop], mid, bool(header & 1), excess)


def _variable_integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer (at most 4 bytes, 7 bits each) and where it ends; an end of 0 when data stop before it does."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            return 0, 0
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise Malformed(f"the broker sent a length of more than 4 bytes ({data[at : at + 5]!r}); is it an MQTT broker?")
