"""Registers of a meter as they are, without a model: to write one, or to find out what the manual did not say."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

from collectors.modbus import ModbusLink
from ingest.errors import Misconfigured, Refused

MOST = 500
"""Registers in one go: a few questions."""
_AT_ONCE = 125
_LEAST, _MOST = 1e-6, 1e12
"""No quantity of a meter is beyond these, unless the words mean something else."""
_NO_FUNCTION = "exception 1 "
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{1,4}|\d{1,5}", re.ASCII)

Words = Mapping[int, bytes | None]
"""Two bytes by wire address, None: refused."""


def address_of(text: str) -> int:
    """A wire address, decimal or like 0x5000. Misconfigured when it is not."""
    if _ADDRESS.fullmatch(text) and int(text, 0 if text[:2] in ("0x", "0X") else 10) <= 0xFFFF:
        return int(text, 0 if text[:2] in ("0x", "0X") else 10)
    raise Misconfigured(f"--from {text!r} is no register; write a number from 0 to 65535, or like 0x5000")


def pieces(first: int, count: int) -> list[tuple[int, int]]:
    """The questions for `count` registers from `first` on. Misconfigured when there are not so many."""
    if not 1 <= count <= MOST or first + count > 0x10000:
        most = min(MOST, 0x10000 - first)
        raise Misconfigured(f"--count {count} cannot be from {first:#06x} on; write 1 to {most}")
    ends = range(first, first + count, _AT_ONCE)
    return [(start, min(_AT_ONCE, first + count - start)) for start in ends]


async def read_registers(link: ModbusLink, unit: int, function: int, first: int, count: int) -> Words:
    """Read them; a refused block is split down to the registers that are not there. Errors of the line pass.

    Refused when the meter knows no such function, or has none of them.
    """
    found = dict(await _read(link, unit, function, first, count))
    if not any(found.values()):
        raise Refused(f"the meter refuses all {count} registers from {first:#06x} on with function {function}")
    return found


async def _read(link: ModbusLink, unit: int, function: int, first: int, count: int) -> Words:
    try:
        data = await link.ask(unit, function, first, count)
    except Refused as error:
        if _NO_FUNCTION in str(error):
            raise
        if count == 1:
            return {first: None}
        half = count // 2
        left = await _read(link, unit, function, first, half)
        return {**left, **await _read(link, unit, function, first + half, count - half)}
    return {first + number: data[2 * number : 2 * number + 2] for number in range(count)}


def rows(words: Words) -> Iterator[tuple[str, ...]]:
    """What each register may mean alone, and with the one after it in both word orders.

    Address, word, uint16, int16, then uint32 and float32 with the high word first, the same with the low word first,
    and the two bytes as text. A float no meter would mean is a dash.
    """
    for address, word in sorted(words.items()):
        if word is None:
            yield f"{address:#06x}", "refused", *[""] * 7
            continue
        after = words.get(address + 1)
        single = f"{int.from_bytes(word, 'big')}", f"{int.from_bytes(word, 'big', signed=True)}"
        long = ("", "", "", "") if after is None else (*_long(word + after), *_long(after + word))
        yield f"{address:#06x}", word.hex(), *single, *long, _text(word)


def _long(pair: bytes) -> tuple[str, str]:
    value: float = struct.unpack(">f", pair)[0]
    meant = value == 0 or _LEAST <= abs(value) <= _MOST
    return f"{int.from_bytes(pair, 'big')}", f"{value:.7g}" if meant else "–"


def _text(word: bytes) -> str:
    return "".join(chr(one) if 0x20 < one < 0x7F else "·" for one in word)
