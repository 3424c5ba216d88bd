"""MQTT framing: any cut of the stream gives the same packets, enormous ones stay bounded, nonsense is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.frames import Frames, Publish, puback
from ingest.errors import Malformed


def length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def publish(topic: bytes, payload: bytes, mid: int = 0, *, properties: bytes | None = b"", flags: int = 0) -> bytes:
    """A PUBLISH packet written after the specification, 3.3."""
    body = len(topic).to_bytes(2, "big") + topic
    if mid:
        flags |= 0x02
        body += mid.to_bytes(2, "big")
    if properties is not None:
        body += length(len(properties)) + properties
    body += payload
    return bytes([0x30 | flags]) + length(len(body)) + body


CONNACK = b"\x20\x03\x00\x00\x00"
STREAM = [
    CONNACK,
    publish(b"a/b", b"1", 7),
    publish(b"a/\xd0\xb6", b"x" * 300, 65535, properties=b"\x23\x00\x01", flags=0x09),
    b"\xd0\x00",
    publish(b"a", b""),
]
EXPECTED: list[Publish | bytes] = [
    CONNACK,
    Publish("a/b", b"1", 7, False),
    Publish("a/ж", b"x" * 300, 65535, True),
    b"\xd0\x00",
    Publish("a", b"", 0, False),
]


@given(st.lists(st.integers(1, 40), max_size=60))
def test_any_cut_of_the_stream_gives_the_same_packets(cuts: list[int]) -> None:
    data, frames = b"".join(STREAM), Frames(properties=True)
    got: list[Publish | bytes] = []
    for cut in cuts:
        got += frames.feed(data[:cut])
        data = data[cut:]
    assert got + frames.feed(data) == EXPECTED


def test_mqtt_3_has_no_properties() -> None:
    packet = publish(b"t", b"\x05hello", 3, properties=None)
    assert Frames(properties=False).feed(packet) == [Publish("t", b"\x05hello", 3, False)]


@given(st.lists(st.integers(1, 300), max_size=20))
def test_an_enormous_message_is_cut_and_what_follows_is_whole(cuts: list[int]) -> None:
    data = publish(b"t", b"x" * 1000, 5) + publish(b"u", b"y", 6)
    frames, got = Frames(properties=True, largest=200), []
    for cut in cuts:
        got += frames.feed(data[:cut])
        data = data[cut:]
    got += frames.feed(data)
    first, second = got
    assert isinstance(first, Publish)
    assert first.mid == 5
    assert len(first.payload) + first.cut == 1000
    assert len(first.payload) < 200
    assert second == Publish("u", b"y", 6, False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x32\x03\x00\x05a",
        b"\x34\x06\x00\x01a\x00\x01\x00",
        b"\x32\x06\x00\x01a\x00\x00\x00",
        b"\x30\x04\x00\x01a\x7f",
        b"\x30\x03\x00\x01a",
    ],
)
def test_what_is_not_mqtt_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="broker"):
        Frames(properties=True).feed(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_packets_or_malformed(data: bytes) -> None:
    frames = Frames(properties=True, largest=50)
    try:
        for byte in data:
            frames.feed(bytes([byte]))
    except Malformed:
        pass


def test_acknowledgements_are_pubacks_in_order() -> None:
    assert puback([1, 0x1234]) == b"\x40\x02\x00\x01\x40\x02\x12\x34"
