"""What one poll becomes: readings that share one instant, rejects, and the news whether the meter answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from collectors.link import Answer, Quick
from ingest.channel import from_micro
from ingest.delivery import Contact, Delivery, Reject
from ingest.errors import AmrError
from ingest.model import Polled, Reading
from ingest.taken import Taken, sound

_MOST_DETAIL = 300
_make = tuple.__new__


def delivery_of(origin: str, meter: Polled, at: datetime, answer: Answer) -> Delivery:
    """The delivery of a poll that was answered at `at`."""
    return _delivery(origin, meter.serial, at, answer)


def _delivery(origin: str, serial: str, at: datetime, answer: Answer) -> Delivery:
    rejects = answer.rejects
    try:
        readings = [Reading(serial, channel, at, value) for channel, value in answer.values.items()]
    except ValueError:
        readings, impossible = _each(serial, at, answer)
        rejects = (*rejects, *impossible)
    return Delivery(
        origin,
        readings=(*readings, *answer.readings) if answer.readings else readings,
        rejects=rejects,
        contacts=(_failed(serial, at, answer.problem) if answer.problem else Contact(serial, at, drift=answer.drift),),
        intervals=answer.intervals,
    )


def quick_delivery(origin: str, meter: Polled, at: datetime, quick: Quick) -> Delivery:
    """The same of plain values."""
    return plain_delivery(origin, meter.serial, at, quick.channels, quick.micros)


def plain_delivery(
    origin: str, serial: str, at: datetime, channels: tuple[str, ...], micros: Sequence[int | None]
) -> Delivery:
    """The same of plain values in the order of their channels, None where one is not available.

    None is looked through beforehand: `Taken` compares all values anyway.
    """
    try:
        readings = Taken(serial, at, channels, micros)  # type: ignore[arg-type]
    except TypeError:  # None is not comparable
        there = [(channel, one) for channel, one in zip(channels, micros, strict=True) if one is not None]
        return plain_delivery(origin, serial, at, tuple(one for one, _ in there), [one for _, one in there])
    except ValueError:
        values = {channel: from_micro(one) for channel, one in zip(channels, micros, strict=True) if one is not None}
        return _delivery(origin, serial, at, Answer(values))
    return Delivery(origin, readings, contacts=(Contact(serial, at),))


def sound_delivery(origin: str, serial: str, at: datetime, channels: tuple[str, ...], micros: list[int]) -> Delivery:
    """The same of values that surely are readings of their channels, as nearly all are: nothing is checked."""
    readings = sound(serial, at, channels, micros)
    answered = _make(Contact, (serial, at, None, None, None, None, None))
    return _make(Delivery, (origin, readings, (), (answered,), (), b"", None, ""))


def contact(meter: Polled, at: datetime, error: AmrError) -> Contact:
    """The news of a failed poll; its failure is a stable code that names the level that is silent."""
    return _failed(meter.serial, at, error)


def _failed(serial: str, at: datetime, error: AmrError) -> Contact:
    return Contact(serial, at, error.code, str(error)[:_MOST_DETAIL])


def _each(serial: str, at: datetime, answer: Answer) -> tuple[list[Reading], list[Reject]]:
    """One by one: a value that cannot be a reading is rejected, the others are kept."""
    readings, rejects = [], []
    for channel, value in answer.values.items():
        try:
            readings.append(Reading(serial, channel, at, value))
        except ValueError as error:
            detail = f"{error}; check the model's type, word order and scale"
            rejects.append(Reject("impossible_value", detail, str(value).encode(), serial, channel))
    return readings, rejects
