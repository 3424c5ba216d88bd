"""Which catalogue models fit what answers at an address: read a telling register, then all, and doubt what comes.

A wrong model is mostly refused at once, or reads a frequency of 3 Hz. What fits is still to be compared with the
display: two models of one maker may share their whole map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from collectors.decode import decode
from collectors.meter_model import Model, ModelRegister
from collectors.modbus import ModbusLink
from ingest.channel import is_counter, unit_of
from ingest.errors import AmrError, Malformed
from ingest.model import Polled

_LIMITS = {"Hz": (Decimal(45), Decimal(65)), "V": (Decimal(0), Decimal(1000)), "1": (Decimal(-1), Decimal(1))}
_VOLTAGE = (Decimal(80), Decimal(500))
"""A line that can be talked over is under voltage: a first phase outside of this is another quantity."""
_MOST_CURRENT = Decimal(10_000)
_MOST_POWER = Decimal(10_000_000)
_MOST_MISSING = 4
"""A fit may lack one register in so many: there are versions of a model without them."""
_TELLING = ("14.7.0", "32.7.0")


@dataclass(frozen=True, slots=True)
class Fit:
    """A model that fits, what it says of itself, its values, and the channels this device refused."""

    model: Model
    serial: str | None
    values: Mapping[str, Decimal]
    missing: tuple[str, ...]

    @property
    def rank(self) -> tuple[bool, int, bool, int]:
        """The greater, the better: whole, without phases that read 0 V (there may be none), numbered, many values."""
        dead = sum(not self.values.get(voltage, 1) for voltage in ("52.7.0", "72.7.0"))
        return not self.missing, -dead, self.serial is not None, len(self.values)


async def fits(link: ModbusLink, unit: int, models: Iterable[Model]) -> list[Fit]:
    """The models that fit the device at that address, the best first. LineDown passes; other errors mean no fit."""
    known: dict[tuple[int, int, int], bytes | None] = {}
    found = [await _fit(link, unit, model, known) for model in models]
    return sorted((fit for fit in found if fit), key=lambda fit: fit.rank, reverse=True)


def doubts(values: Mapping[str, Decimal]) -> Iterator[str]:
    """What no meter in service would show, in words; nothing when all may be true."""
    for channel, value in values.items():
        low, high = _limits(channel)
        if not low <= value <= high:
            yield f"{channel} = {value.normalize():f} {unit_of(channel)} is not between {low} and {high}"


def _limits(channel: str) -> tuple[Decimal, Decimal]:
    if is_counter(channel):
        return Decimal(0), Decimal(10) ** 10
    if channel == "32.7.0":
        return _VOLTAGE
    unit = unit_of(channel)
    most = _MOST_CURRENT if unit == "A" else _MOST_POWER
    return _LIMITS.get(unit, (-most, most))


async def _fit(
    link: ModbusLink, unit: int, model: Model, known: dict[tuple[int, int, int], bytes | None]
) -> Fit | None:
    telling = next((one for channel in _TELLING for one in model.registers if one.channel == channel), None)
    if telling is None or not _believable(telling, await _words(link, unit, telling, known)):
        return None
    meter = Polled(f"unit {unit} as {model.slug}", model.slug, str(unit), timedelta(minutes=30))
    try:
        words = await link.words(meter)
        serial = await link.serial(meter)
    except AmrError as error:
        _pass_on(error)
        return None
    values = valued(model, words)
    missing = tuple(one.channel for one in model.registers if one.channel not in words)
    if len(missing) * _MOST_MISSING > len(model.registers) or any(doubts(values)):
        return None
    return Fit(model, serial, values, missing)


def valued(model: Model, words: Mapping[str, bytes]) -> dict[str, Decimal]:
    """The values of a model's registers and sums from their words; what is not available or no number is left out."""
    values: dict[str, Decimal] = {}
    for register in model.registers:
        if (value := _value(register, words.get(register.channel))) is not None:
            values[register.channel] = value
    for total in model.sums:
        if all(part in values for part in total.parts):
            values[total.channel] = sum((values[part] for part in total.parts), Decimal(0))
    return values


async def _words(
    link: ModbusLink, unit: int, register: ModelRegister, known: dict[tuple[int, int, int], bytes | None]
) -> bytes | None:
    """Models of one maker have their telling registers at one place: asked once."""
    place = (register.function, register.address, register.words)
    if place not in known:
        try:
            known[place] = await link.ask(unit, *place)
        except AmrError as error:
            _pass_on(error)
            known[place] = None
    return known[place]


def _believable(register: ModelRegister, words: bytes | None) -> bool:
    value = _value(register, words)
    return value is not None and not any(doubts({register.channel: value}))


def _value(register: ModelRegister, words: bytes | None) -> Decimal | None:
    try:
        return None if words is None else decode(register, words)
    except Malformed:
        return None


def _pass_on(error: AmrError) -> None:
    """A refusal is an answer about the model; a lost line is not."""
    if error.code == "line_down":
        raise error
