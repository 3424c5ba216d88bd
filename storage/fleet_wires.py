"""What the kinds of lines ask of a line's own address and of its meters' addresses. Pure."""

from __future__ import annotations

import re

from ingest.model import Line

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})", re.ASCII)
_NETWORK = {"modbus-tcp": (0, 255), "rtu-over-tcp": (1, 247), "serial-over-tcp": None, "rfc2217": None}
_PORTS = {"modbus-rtu": (1, 247), "modbus-ascii": (1, 247), "serial": None}

KINDS = {**_NETWORK, **_PORTS}
"""Kinds of lines with the Modbus units they carry; None: meters of any protocol, with addresses of any form."""


def wire_mistake(line: Line) -> str | None:
    """What is wrong with the address of a line, None for nothing that its kind forbids."""
    match = _HOST_AND_PORT.fullmatch(line.address)
    if line.kind in _NETWORK and line.address and (match is None or not 0 < int(match[2]) < 65536):
        return "write host:port, like 10.0.0.7:502 or [fd00::7]:502"
    return None


def bus_mistake(line: Line, address: str) -> str | None:
    """What is wrong with a bus address on a line, None for nothing that can be told without the meter's model."""
    units = KINDS.get(line.kind)
    if units is None or (address.isascii() and address.isdecimal() and units[0] <= int(address) <= units[1]):
        return None
    least, most = units
    return f"is no Modbus unit of a {line.kind} line; write a number from {least} to {most}"
