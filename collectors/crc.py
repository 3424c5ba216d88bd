"""CRC-16 of Modbus RTU (and of Меркурий): polynomial 0xA001 reflected, start 0xFFFF, sent low byte first. Pure."""

from __future__ import annotations


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))


def crc16(data: bytes) -> bytes:
    """The two bytes that follow these on the wire."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")
