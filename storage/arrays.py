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

_HEAD = struct.Struct(">iiiii")
"""Dimensions, flags, the elements' type, how many there are, the number of the first (its source, array_recv)."""


class Numbers:
    """A column as it is sent; a length before each number, both most significant byte first."""

    type_name = ""
    code = ""

    def __init__(self, column: Iterable[int]) -> None:
        """OverflowError: a number is too large for the type."""
        numbers = array(self.code, column)
        width, count = numbers.itemsize, len(numbers)
        if sys.byteorder == "little":
            numbers.byteswap()
        raw, each = numbers.tobytes(), 4 + width
        body = bytearray(each * count)
        body[3::each] = bytes((width,)) * count
        for place in range(width):
            body[4 + place :: each] = raw[place::width]
        self.sent = _HEAD.pack(1, 0, types[self.type_name].oid, count, 1) + body


class Integers(Numbers):
    """integer[]"""

    type_name, code = "int4", "i"


class Smallints(Numbers):
    """smallint[]"""

    type_name, code = "int2", "h"


class Bigints(Numbers):
    """bigint[]"""

    type_name, code = "int8", "q"


class Instants(Numbers):
    """timestamptz[]: microseconds since 2000 (see `instants`)."""

    type_name, code = "timestamptz", "q"


class Texts:
    """text[], of what is not null."""

    type_name = "text"

    def __init__(self, column: Iterable[str]) -> None:
        texts = [text.encode() for text in column]
        parts = [part for text in texts for part in (len(text).to_bytes(4, "big"), text)]
        self.sent = b"".join((_HEAD.pack(1, 0, types[self.type_name].oid, len(texts), 1), *parts))


class _Ready(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: Numbers | Texts) -> Buffer:
        return obj.sent


for _kind in (Integers, Smallints, Bigints, Instants, Texts):
    _oid = types[_kind.type_name].array_oid
    psycopg.adapters.register_dumper(_kind, type(f"{_kind.__name__}Dumper", (_Ready,), {"oid": _oid}))
