"""Calendar cuts in a point's own zone: days of 23 and 25 hours, zones that moved, borders of months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import calendar_cuts
from ingest.calendar_cuts import Step, cuts, shifted, start_of
from ingest.errors import Malformed

VOLGOGRAD, SAMARA, MOSCOW = (ZoneInfo(f"Europe/{city}") for city in ("Volgograd", "Samara", "Moscow"))
KATHMANDU, CHICAGO = ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/Chicago")
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def lengths(found: list[datetime]) -> list[float]:
    return [(b - a) / HOUR for a, b in pairwise(found)]


def test_the_day_volgograd_moved_east_has_23_hours() -> None:
    days = cuts(utc("2018-10-26T21:00"), utc("2018-10-29T20:00"), Step.DAY, VOLGOGRAD)
    assert days == [utc("2018-10-26T21:00"), utc("2018-10-27T21:00"), utc("2018-10-28T20:00"), utc("2018-10-29T20:00")]
    assert lengths(days) == [24, 23, 24]


def test_the_day_volgograd_moved_back_has_25_hours_and_50_half_hours() -> None:
    days = cuts(utc("2020-12-25T20:00"), utc("2020-12-28T21:00"), Step.DAY, VOLGOGRAD)
    assert lengths(days) == [24, 25, 24]
    assert len(cuts(days[1], days[2], Step.HALF_HOUR, VOLGOGRAD)) - 1 == 50
    assert len(cuts(days[1], days[2], Step.HOUR, VOLGOGRAD)) - 1 == 25


def test_months_in_volgograd_begin_by_the_offset_of_their_first_day() -> None:
    months = cuts(utc("2018-09-30T21:00"), utc("2018-12-31T20:00"), Step.MONTH, VOLGOGRAD)
    assert months == [
        utc("2018-09-30T21:00"),
        utc("2018-10-31T20:00"),
        utc("2018-11-30T20:00"),
        utc("2018-12-31T20:00"),
    ]
    later = cuts(utc("2020-11-30T20:00"), utc("2021-01-31T21:00"), Step.MONTH, VOLGOGRAD)
    assert later == [utc("2020-11-30T20:00"), utc("2020-12-31T21:00"), utc("2021-01-31T21:00")]


def test_samara_is_an_hour_before_moscow() -> None:
    begin, end = utc("2026-02-10T00:00"), utc("2026-03-10T00:00")
    assert cuts(begin, end, Step.MONTH, SAMARA)[1] == utc("2026-02-28T20:00")
    assert cuts(begin, end, Step.MONTH, MOSCOW)[1] == utc("2026-02-28T21:00")


def test_russia_still_had_summer_time_in_2010() -> None:
    assert lengths(cuts(utc("2010-03-26T21:00"), utc("2010-03-28T20:00"), Step.DAY, MOSCOW)) == [24, 23]


def test_ends_that_are_no_borders_stay_as_asked() -> None:
    begin, end = utc("2026-01-05T10:10"), utc("2026-03-05T05:05")
    found = cuts(begin, end, Step.MONTH, MOSCOW)
    assert found == [begin, utc("2026-01-31T21:00"), utc("2026-02-28T21:00"), end]


def test_an_instant_in_any_zone_is_cut_in_the_points() -> None:
    begin = datetime(2026, 1, 1, 5, tzinfo=CHICAGO)
    assert cuts(begin, begin + 30 * HOUR, Step.DAY, MOSCOW)[0] == utc("2026-01-01T11:00")
    assert cuts(begin, begin + 30 * HOUR, Step.DAY, MOSCOW)[1] == utc("2026-01-01T21:00")


def test_hours_begin_with_the_local_clock() -> None:
    found = cuts(utc("2026-01-01T00:00"), utc("2026-01-01T02:00"), Step.HOUR, KATHMANDU)
    assert found[1:-1] == [utc("2026-01-01T00:15"), utc("2026-01-01T01:15")]


def test_years_and_leap_days() -> None:
    found = cuts(utc("2023-12-31T21:00"), utc("2025-12-31T21:00"), Step.YEAR, MOSCOW)
    assert lengths(found) == [366 * 24, 365 * 24]


def test_the_start_of_a_step_is_at_or_before_the_instant() -> None:
    instant = utc("2026-03-10T22:40:30")
    assert start_of(instant, Step.HALF_HOUR, MOSCOW) == utc("2026-03-10T22:30")
    assert start_of(instant, Step.HOUR, MOSCOW) == utc("2026-03-10T22:00")
    assert start_of(instant, Step.DAY, MOSCOW) == utc("2026-03-10T21:00")
    assert start_of(instant, Step.MONTH, MOSCOW) == utc("2026-02-28T21:00")
    assert start_of(instant, Step.YEAR, MOSCOW) == utc("2025-12-31T21:00")
    assert start_of(utc("2026-02-28T21:00"), Step.MONTH, MOSCOW) == utc("2026-02-28T21:00")


def test_steps_are_counted_on_the_calendar() -> None:
    instant = utc("2020-12-31T22:00")
    assert shifted(instant, Step.MONTH, 0, MOSCOW) == utc("2020-12-31T21:00")
    assert shifted(instant, Step.MONTH, -1, MOSCOW) == utc("2020-11-30T21:00")
    assert shifted(instant, Step.MONTH, -12, MOSCOW) == utc("2019-12-31T21:00")
    assert shifted(instant, Step.DAY, -5, VOLGOGRAD) == utc("2020-12-26T20:00")
    assert shifted(instant, Step.YEAR, 2, MOSCOW) == utc("2022-12-31T21:00")


def test_a_range_the_wrong_way_round_or_too_long_is_refused_by_name() -> None:
    with pytest.raises(Malformed, match="is not before"):
        cuts(utc("2026-01-02T00:00"), utc("2026-01-01T00:00"), Step.DAY, MOSCOW)
    with pytest.raises(Malformed, match="more than 100 intervals"):
        cuts(utc("2026-01-01T00:00"), utc("2026-02-01T00:00"), Step.HOUR, MOSCOW, most=100)


ZONES = st.sampled_from(
    ["Europe/Moscow", "Europe/Volgograd", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]
)


@given(zone=ZONES, day=st.integers(0, 20_000), length=st.integers(1, 400), step=st.sampled_from(list(Step)))
def test_cuts_ascend_cover_the_range_and_begin_their_step(zone: str, day: int, length: int, step: Step) -> None:
    tz = ZoneInfo(zone)
    begin = datetime(1971, 1, 1, 7, 13, tzinfo=UTC) + timedelta(days=day)
    end = begin + length * HOUR
    found = cuts(begin, end, step, tz)
    assert (found[0], found[-1]) == (begin, end)
    assert all(a < b for a, b in pairwise(found))
    assert all(start_of(cut, step, tz) == cut for cut in found[1:-1])


@pytest.mark.parametrize("step", [Step.HALF_HOUR, Step.HOUR])
@pytest.mark.parametrize(
    "zone",
    ["Europe/Samara", "Europe/Volgograd", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Tehran"],
)
@pytest.mark.parametrize("begin", ["2026-01-01T00:00:00", "2026-03-06T07:13:20", "2020-12-20T21:30:00"])
@pytest.mark.parametrize("days", [0.01, 1.3, 20, 100])
def test_cuts_evenly_apart_are_those_of_the_clock(step: Step, zone: str, begin: str, days: float) -> None:
    first = utc(begin)
    last = first + timedelta(days=days)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calendar_cuts, "_whole_offsets", lambda *_: False)
        one_by_one = cuts(first, last, step, ZoneInfo(zone))
    assert cuts(first, last, step, ZoneInfo(zone)) == one_by_one


@pytest.mark.parametrize(
    "zone", ["Europe/Volgograd", "America/Chicago", "Pacific/Apia", "America/Sao_Paulo", "Asia/Amman"]
)
def test_days_kept_by_years_are_those_found_one_by_one(zone: str) -> None:
    """Apia left out a day, in the others midnight was skipped or came twice."""
    tz = ZoneInfo(zone)
    begin, end = utc("2009-03-05T07:13"), utc("2021-02-03T00:00")
    found = [begin]
    while (following := shifted(found[-1], Step.DAY, 1, tz)) < end:
        found.append(following)
    assert cuts(begin, end, Step.DAY, tz) == [*found, end]
    assert cuts(found[5], found[90], Step.DAY, tz) == found[5:91]


def test_the_first_and_the_last_year_there_are_can_be_cut() -> None:
    assert len(cuts(utc("0001-01-05T00:00"), utc("0001-02-05T00:00"), Step.DAY, CHICAGO)) > 30
    assert len(cuts(utc("9999-01-05T00:00"), utc("9999-02-05T00:00"), Step.DAY, SAMARA)) > 30
