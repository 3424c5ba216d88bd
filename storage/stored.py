"""How a reading lies in `stored_reading`: its value in steps, and how long after it was taken it came in.

The columnstore keeps differences of differences whole, so noise costs its bits in every reading (decision 24). Only
what writes needs this; everybody else reads the view `reading`, in millionths and instants.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from ingest.instants import micros, span
from ingest.settle import Row
from ingest.store import Appended
from storage.instants import TO_POSTGRES

COLUMNS = "register_id, source, taken_at, value, quality, reasons, step, received_at, delay"
"""What is written of a reading, in the order in which it is packed."""

_WATT_HOUR = 1000
STEP = f"CASE WHEN value %% {_WATT_HOUR} = 0 THEN {_WATT_HOUR} ELSE 1 END"
"""Millionths in a step: a watt hour where the value (millionths) is whole in it, else one. Nothing is ever rounded."""

STEPS = f"CASE WHEN value %% {_WATT_HOUR} = 0 THEN value / {_WATT_HOUR} ELSE value END"

_TENS = span(timedelta(seconds=10))
_PROMPT = timedelta(days=3) // timedelta(seconds=10)
"""What comes later than this, or so long before its time, keeps the instant: it is one for many readings there."""

# PostgreSQL's manual on COPY, "Binary Format": the number of columns, then each after its length, which is -1 for null.
_HEAD = struct.Struct(">hiiihiqiq")
_NUMBERS = struct.Struct(">ihihih")
_DELAYED = struct.Struct(">iih")
_AT_INSTANT = struct.Struct(">iqi")


class _Tails(dict[int, bytes]):
    """The columns after the value, by the whole tens of seconds from when a reading was taken to when it came in.

    Rounded down: never after the truth. A batch has few different ones.
    """

    def __init__(self, step: int, received_at: datetime, quality: int = 0, reasons: int = 0) -> None:
        super().__init__()
        self._numbers = _NUMBERS.pack(2, quality, 2, reasons, 2, step)
        self._late = _AT_INSTANT.pack(8, micros(received_at) - TO_POSTGRES, -1)

    def __missing__(self, delay: int) -> bytes:
        prompt = -_PROMPT <= delay < _PROMPT
        tail = self[delay] = self._numbers + (_DELAYED.pack(-1, 2, delay) if prompt else self._late)
        return tail


def pack_good(rows: Iterable[Appended], received_at: datetime) -> Iterator[bytes]:
    """Good readings as rows of `COLUMNS` for a binary COPY.

    Packed here, because all columns are numbers of known width: half the price of a formatter for any row.
    """
    came, tens, shift, watt_hour, pack = micros(received_at), _TENS, TO_POSTGRES, _WATT_HOUR, _HEAD.pack
    fine, coarse = _Tails(1, received_at), _Tails(watt_hour, received_at)
    return (
        pack(9, 4, register_id, 2, source, 8, at - shift, 8, value) + fine[(came - at) // tens]
        if value % watt_hour
        else pack(9, 4, register_id, 2, source, 8, at - shift, 8, value // watt_hour) + coarse[(came - at) // tens]
        for register_id, source, at, value in rows
    )


def pack_judged(rows: Iterable[tuple[int, Row]], received_at: datetime) -> Iterator[bytes]:
    """The same of readings with their registers, whatever was thought of them."""
    came = micros(received_at)
    for register_id, row in rows:
        steps, rest = divmod(row.value, _WATT_HOUR)
        steps, step = (row.value, 1) if rest else (steps, _WATT_HOUR)
        tails = _Tails(step, received_at, int(row.quality), int(row.reasons))
        yield (
            _HEAD.pack(9, 4, register_id, 2, row.source, 8, row.at - TO_POSTGRES, 8, steps)
            + tails[(came - row.at) // _TENS]
        )
