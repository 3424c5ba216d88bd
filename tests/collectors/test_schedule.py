"""Due instants: on the wall clock of the point, spread by the meter, never two for one period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectors.schedule import SPREAD, next_due, phase

HALF_HOUR = timedelta(minutes=30)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("after", "minutes", "zone", "due"),
    [
        ("2026-11-20T10:01:00+00:00", 30, "Europe/Moscow", "2026-11-20T10:30:00+00:00"),
        ("2026-11-20T10:30:00+00:00", 30, "Europe/Moscow", "2026-11-20T11:00:00+00:00"),
        ("2026-11-20T10:01:00+00:00", 60, "Asia/Kolkata", "2026-11-20T10:30:00+00:00"),
        ("2026-11-20T10:01:00+00:00", 24 * 60, "Europe/Samara", "2026-11-20T20:00:00+00:00"),
        ("2026-11-20T10:01:00+00:00", 7 * 24 * 60, "UTC", "2026-11-23T00:00:00+00:00"),
        # The night Berlin puts its clocks back: half an hour goes on, six hours stay at 06:00 on the wall.
        ("2026-10-25T00:30:00+00:00", 30, "Europe/Berlin", "2026-10-25T01:00:00+00:00"),
        ("2026-10-25T01:00:00+00:00", 360, "Europe/Berlin", "2026-10-25T05:00:00+00:00"),
        # And forward: 00:30 summer time is not yet, 06:00 is 04:00 UTC.
        ("2026-03-28T23:30:00+00:00", 360, "Europe/Berlin", "2026-03-29T04:00:00+00:00"),
        # Volgograd moved its zone on 2018-10-28: midnight of the 29th is an hour earlier in UTC.
        ("2018-10-27T22:00:00+00:00", 24 * 60, "Europe/Volgograd", "2018-10-28T20:00:00+00:00"),
    ],
)
def test_due_is_aligned_to_the_wall_clock(after: str, minutes: int, zone: str, due: str) -> None:
    assert next_due(utc(after), timedelta(minutes=minutes), zone) == utc(due)


ZONES = st.sampled_from(["UTC", "Europe/Moscow", "Europe/Berlin", "Asia/Kolkata", "Europe/Volgograd", "Asia/Kathmandu"])
INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
PERIODS = st.sampled_from([1, 5, 15, 30, 60, 180, 360, 720, 1440]).map(lambda minutes: timedelta(minutes=minutes))
OFFSETS = st.integers(0, 60).map(lambda seconds: timedelta(seconds=seconds))


@given(INSTANTS, PERIODS, ZONES, OFFSETS)
def test_due_is_later_and_not_far(after: datetime, period: timedelta, zone: str, offset: timedelta) -> None:
    assert after < next_due(after, period, zone, offset) <= after + period + timedelta(hours=1)


@given(INSTANTS, PERIODS, ZONES, OFFSETS)
def test_due_is_aligned_on_every_wall(after: datetime, period: timedelta, zone: str, offset: timedelta) -> None:
    wall = (next_due(after, period, zone, offset) - offset).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if changes_near(wall, zone):
        assume(period <= timedelta(hours=1))
    assert (wall - wall.replace(hour=0, minute=0, second=0, microsecond=0)) % period == timedelta(0)


def changes_near(wall: datetime, zone: str) -> bool:
    """Whether the zone's clocks change within a day: then the wall may skip the very instant that was due."""
    tz, day = ZoneInfo(zone), timedelta(days=1)
    return (wall - day).replace(tzinfo=tz).utcoffset() != (wall + day).replace(tzinfo=tz).utcoffset()


@given(INSTANTS, PERIODS, ZONES, OFFSETS)
def test_a_long_pause_is_caught_up_by_one_poll(
    after: datetime, period: timedelta, zone: str, offset: timedelta
) -> None:
    woken = after + 10 * period + timedelta(seconds=1)
    assert next_due(woken, period, zone, offset) > woken


def test_a_phase_is_stable_and_meters_differ() -> None:
    phases = {phase(f"meter-{number}", SPREAD, HALF_HOUR) for number in range(100)}
    assert phase("11000001", SPREAD, HALF_HOUR) == phase("11000001", SPREAD, HALF_HOUR)
    assert len(phases) == 100
    assert all(timedelta(0) <= one < SPREAD for one in phases)


def test_a_phase_stays_within_half_of_a_short_period() -> None:
    assert all(phase(f"m{number}", SPREAD, timedelta(seconds=2)) < timedelta(seconds=1) for number in range(50))
