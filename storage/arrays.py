"""Columns as binary arrays, ready to be sent: for thousands of values psycopg's own lists take many times as long."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.types import TypeInfo

from storage.instants import TO_POSTGRES

_HEAD = struct.Struct(">iiiii")
"""Dimensions, flags, the elements' type, how many there are, the number of the first (its source, array_recv)."""

_ONE = {code: struct.Struct(f">i{code}") for code in "hiq"}
_FEW = 32
"""Below this many numbers it is cheaper to pack them one by one."""


class Numbers:
    """A column as it is sent; a length before each number, both most significant byte first."""

    kind: TypeInfo
    code = ""
    shift = 0

    def __init__(self, column: Iterable[int]) -> None:
        """OverflowError: a number is too large for the type."""
        numbers = array(self.code, column)
        width, count = numbers.itemsize, len(numbers)
        body: bytes | bytearray
        if count < _FEW:
            pack = _ONE[self.code].pack
            body = b"".join([pack(width, number) for number in numbers])
        else:
            if sys.byteorder == "little":
                numbers.byteswap()
            raw, each = numbers.tobytes(), 4 + width
            body = bytearray(each * count)
            body[3::each] = bytes((width,)) * count
            for place in range(width):
                body[4 + place :: each] = raw[place::width]
        self.sent = _HEAD.pack(1, 0, self.kind.oid, count, 1) + body

    def unpacked(self) -> list[int]:
        """The column again, for whoever writes a statement down."""
        return [number + self.shift for _, number in _ONE[self.code].iter_unpack(self.sent[_HEAD.size :])]


class Integers(Numbers):
    """integer[]"""

    kind, code = types["int4"], "i"


class Smallints(Numbers):
    """smallint[]"""

    kind, code = types["int2"], "h"


class Bigints(Numbers):
    """bigint[]"""

    kind, code = types["int8"], "q"


class Instants(Numbers):
    """timestamptz[], of microseconds since 1970."""

    kind, code, shift = types["timestamptz"], "q", TO_POSTGRES

    def __init__(self, column: Iterable[int]) -> None:
        shift = self.shift
        super().__init__([at - shift for at in column])


class Texts:
    """text[], of what is not null."""

    kind = types["text"]

    def __init__(self, column: Iterable[str]) -> None:
        texts = [text.encode() for text in column]
        parts = [part for text in texts for part in (len(text).to_bytes(4, "big"), text)]
        self.sent = b"".join((_HEAD.pack(1, 0, self.kind.oid, len(texts), 1), *parts))


class _Ready(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: Numbers | Texts) -> Buffer:
        return obj.sent


for _column in (Integers, Smallints, Bigints, Instants, Texts):
    _dumper = type(f"{_column.__name__}Dumper", (_Ready,), {"oid": _column.kind.array_oid})
    psycopg.adapters.register_dumper(_column, _dumper)
