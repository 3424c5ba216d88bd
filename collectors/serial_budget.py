"""What one poll of a meter with a protocol of its own costs its line: every exchange of a whole conversation. Pure.

Characters are counted from the frames; how long a meter thinks is an assumption (`_THINKING`), because no manual says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from collectors.iec_frames import choice, command, sign_on
from collectors.line_settings import LineSettings
from collectors.mercury_frames import frame_206, frame_230
from collectors.mercury_talk import KEPT, pause_of, wait_of
from collectors.serial_model import SerialModel, Tongue
from ingest.channel import is_counter

_THINKING = {Tongue.MERCURY_230: 0.03, Tongue.MERCURY_206: 0.03, Tongue.IEC: 0.2}
"""Seconds until an answer begins; 200 ms is the reaction time IEC 62056-21 lets every meter take."""
_GREETING, _P0, _ACK = 21, 16, 1
_VALUE = 14
"""Characters of one value in an IEC answer, its brackets and separators among them."""
_LINE = 30
"""Characters of one line of a readout, and of its name."""
_END = 0.2
_OPENING, _OPENED = b"\x01\x01" + bytes(6), 1


class Exchange(NamedTuple):
    """Characters asked and answered."""

    asked: int
    answered: int


def conversation(model: SerialModel, period: timedelta) -> list[Exchange]:
    """Every exchange of one poll; counters are read twice where a block has but a weak check."""
    if model.tongue is Tongue.IEC:
        return list(_iec(model))
    sends = list(dict.fromkeys((ask.send, ask.size) for ask in model.asks))
    if model.tongue is Tongue.MERCURY_230:
        opening = [(_OPENING, _OPENED)] if period.total_seconds() > KEPT else []
        asked = [*opening, (b"\x08\x00", 7), *((bytes.fromhex(send), size) for send, size in sends), (b"\x04\x00", 8)]
        return [Exchange(len(frame_230(1, command, size).request), 1 + size + 2) for command, size in asked]
    asked = [(b"\x2f", 4), *((bytes.fromhex(send), size) for send, size in sends), (b"\x21", 7)]
    return [Exchange(len(frame_206(1, command, size).request), 5 + size + 2) for command, size in asked]


def _iec(model: SerialModel) -> Iterator[Exchange]:
    yield Exchange(len(sign_on("0" * 8)), _GREETING)
    if model.readout:
        yield Exchange(len(choice("5", programming=False)), _LINE * (len(model.specs) + 10))
        return
    yield Exchange(len(choice("5", programming=True)), _P0)
    if model.passwords:
        yield Exchange(len(command("P1", f"({model.passwords[0]})", model.bcc)), _ACK)
    names = [(name, 1, 1) for name in (model.serial, model.date, model.time) if name is not None]
    for ask in {ask.send: ask for ask in model.asks}.values():
        items = [item for one in model.asks if one.send == ask.send for item in one.items]
        names.append((ask.send, len(items), 2 if any(is_counter(item.channel) for item in items) else 1))
    for name, values, times in names:
        for _ in range(times):
            yield Exchange(len(command("R1", name, model.bcc)), len(name) + 4 + _VALUE * values)


def poll_time(settings: LineSettings, model: SerialModel, period: timedelta) -> tuple[int, float]:
    """Exchanges of one poll, and the seconds of the line they take."""
    exchanges = conversation(model, period)
    characters = sum(one.asked + one.answered for one in exchanges)
    rest = _THINKING[model.tongue] + _pause(settings, model)
    ending = 0.0
    if model.tongue is Tongue.IEC:
        end = len(command("B0", None, model.bcc)) * settings.character
        ending = end + _END
    return len(exchanges), characters * settings.character + len(exchanges) * rest + ending


def silence(settings: LineSettings, model: SerialModel, period: timedelta) -> float:
    """Seconds lost on a meter that does not answer the first question."""
    first = conversation(model, period)[0]
    patience = settings.timeout or (
        model.timeout if model.tongue is Tongue.IEC else wait_of(settings.baud, model.timeout)
    )
    return patience + (first.asked + first.answered) * settings.character + settings.quiet


def _pause(settings: LineSettings, model: SerialModel) -> float:
    wanted = model.pause if model.tongue is Tongue.IEC else pause_of(settings.baud, model.pause)
    return settings.frame_pause(wanted)
