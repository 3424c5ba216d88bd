"""What gateways sent while nobody listened: messages published as fast as a broker takes them, by bare MQTT 3.1.1.

Source: MQTT 3.1.1 (OASIS, 2014), sections 3.1 (CONNECT), 3.3 (PUBLISH), 3.4 (PUBACK).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

GATEWAYS, METERS = 20, 100
"""Gateways, and meters of each; every meter has one register."""

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)
_WINDOW = 2000

FLEET = f"""
INSERT INTO meter (serial, model, gateway)
SELECT 'p' || g || '-' || n, 'bench', 'g' || g
FROM generate_series(0, {GATEWAYS - 1}) g, generate_series(0, {METERS - 1}) n;
INSERT INTO register (meter_id, channel, digits, decimals, max_rate) SELECT id, '1.8.0', 8, 3, 100 FROM meter;
"""


def messages(count: int, size: int, first: int) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of `count` messages of `size` readings; every meter a minute on each time it is its turn.

    `first` is the number of the minute to begin with; `minutes` tells how many are used up.
    """
    per_round = GATEWAYS * METERS // size
    for number in range(count):
        turn, place = divmod(number, per_round)
        gateway, begin = divmod(place * size, METERS)
        at = (START + (first + turn) * STEP).isoformat()
        value = f"{1000 + (first + turn) / 1000:.3f}"
        body = ",".join(
            f'{{"meter":"p{gateway}-{meter}","channel":"1.8.0","at":"{at}","value":"{value}"}}'
            for meter in range(begin, begin + size)
        )
        yield f"amr/v1/g{gateway}/readings", f'{{"readings":[{body}]}}'.encode()


def minutes(count: int, size: int) -> int:
    """How many minutes `count` messages of `size` readings cover."""
    return -(-count * size // (GATEWAYS * METERS))


async def publish(host: str, port: int, todo: Iterator[tuple[str, bytes]]) -> int:
    """Publish with QoS 1 and see every PUBACK; gives how many messages it were."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench")
    await reader.readexactly(4)
    sent = confirmed = 0
    for topic, payload in todo:
        writer.write(_packet(topic.encode(), payload, 1 + sent % 65535))
        sent += 1
        if sent - confirmed >= _WINDOW:
            await writer.drain()
            confirmed += len(await reader.readexactly(4 * (_WINDOW // 2))) // 4
    while confirmed < sent:
        confirmed += len(await reader.readexactly(4)) // 4
    writer.close()
    await writer.wait_closed()
    return sent


def _packet(topic: bytes, payload: bytes, mid: int) -> bytes:
    length = 4 + len(topic) + len(payload)
    head = bytearray(b"\x32")
    while True:
        length, digit = length >> 7, length & 0x7F
        head.append(digit | (0x80 if length else 0))
        if not length:
            break
    return b"".join((head, len(topic).to_bytes(2, "big"), topic, mid.to_bytes(2, "big"), payload))
