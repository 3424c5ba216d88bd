"""Instants as whole microseconds since 1970: exact, cheap to compare and to subtract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """An aware instant as whole microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def instant(micros: int) -> datetime:
    """Back to an aware datetime, UTC."""
    return EPOCH + timedelta(microseconds=micros)


def span(length: timedelta) -> int:
    """A length of time in whole microseconds."""
    return length // _MICROSECOND
