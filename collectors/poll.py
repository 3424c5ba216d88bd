"""What one poll becomes: readings that share one instant, rejects, and the news whether the meter answered. Pure."""

from __future__ import annotations

from datetime import datetime

from collectors.link import Answer
from ingest.delivery import Contact, Delivery, Reject
from ingest.errors import AmrError
from ingest.model import Polled, Reading

_MOST_DETAIL = 300


def delivery_of(origin: str, meter: Polled, at: datetime, answer: Answer) -> Delivery:
    """The delivery of a poll that was answered at `at`."""
    serial = meter.serial
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
        contacts=(contact(meter, at, answer.problem) if answer.problem else Contact(serial, at, drift=answer.drift),),
        intervals=answer.intervals,
    )


def contact(meter: Polled, at: datetime, error: AmrError) -> Contact:
    """The news of a failed poll; its failure is a stable code that names the level that is silent."""
    return Contact(meter.serial, at, error.code, str(error)[:_MOST_DETAIL])


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
