"""What one poll becomes: readings that share one instant, rejects, and the news whether the meter answered. Pure."""

from __future__ import annotations

from datetime import datetime

from collectors.link import Answer
from ingest.channel import is_counter
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
        readings, negative = _without_negative(serial, at, answer)
        rejects = (*rejects, *negative)
    return Delivery(
        origin,
        readings=(*readings, *answer.readings) if answer.readings else readings,
        rejects=rejects,
        contacts=(Contact(serial, at),),
        intervals=answer.intervals,
    )


def contact(meter: Polled, at: datetime, error: AmrError) -> Contact:
    """The news of a failed poll; its failure is a stable code that names the level that is silent."""
    return Contact(meter.serial, at, error.code, str(error)[:_MOST_DETAIL])


def _without_negative(serial: str, at: datetime, answer: Answer) -> tuple[list[Reading], list[Reject]]:
    readings, rejects = [], []
    for channel, value in answer.values.items():
        if value < 0 and is_counter(channel):
            detail = f"{channel} reads {value}; an energy counter is never negative: check the model's type and order"
            rejects.append(Reject("negative_value", detail, str(value).encode(), serial, channel))
        else:
            readings.append(Reading(serial, channel, at, value))
    return readings, rejects
