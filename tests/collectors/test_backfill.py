"""The plan of what is missing: months, days, profiles, in that order; what is lost is listed exactly."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from collectors.archive import Depth, Kind, Recall
from collectors.backfill import CHUNK, READY, Scope, midnight, plan, wanted
from ingest.gaps import Gap, Held

HERE = ZoneInfo("Europe/Samara")
NOW = datetime(2026, 11, 20, 14, 40, tzinfo=UTC)
HALF = timedelta(minutes=30)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DATED, OLD, SLICES, NONE = Depth(123, 36, 4096), Depth(2, 12, 4096), Depth(months=12), Depth()


def scope(depth: Depth, **more: object) -> Scope:
    known: dict[str, object] = {"depth": depth, "zone": HERE, "period": HALF, "now": NOW}
    return Scope(**(known | more))  # type: ignore[arg-type]


def at(year: int, month: int, day: int) -> datetime:
    return midnight(date(year, month, day), HERE)


def everything(one: Scope) -> Held:
    asked = wanted(one)
    count = (asked.until - asked.since) // one.depth.length
    starts = [asked.since + step * one.depth.length for step in range(count)]
    return Held(LONG_AGO, asked.midnights, starts, (), NOW - HALF)


def lacking(one: Scope, midnights: Collection[datetime] = (), intervals: Collection[datetime] = ()) -> Held:
    full = everything(one)
    return Held(
        full.since,
        [instant for instant in full.midnights if instant not in midnights],
        [start for start in full.intervals if start not in intervals],
        full.silences,
        full.last,
    )


def test_a_midnight_is_the_zones() -> None:
    assert at(2026, 11, 20) == datetime(2026, 11, 19, 20, tzinfo=UTC)


def test_what_is_wanted_reaches_as_far_as_the_memory() -> None:
    asked = wanted(scope(DATED))
    assert asked.midnights[0] == at(2023, 12, 1)
    assert asked.midnights[-1] == at(2026, 11, 20)
    assert at(2026, 7, 21) in asked.midnights
    assert at(2026, 7, 20) not in asked.midnights
    assert asked.until == datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    assert asked.since == asked.until - 4095 * HALF
    assert wanted(scope(SLICES)).midnights == tuple(
        at(2025 + (month > 12), (month - 1) % 12 + 1, 1) for month in range(12, 24)
    )
    assert wanted(scope(NONE)).midnights == ()


def test_just_after_midnight_and_the_half_hour_nothing_is_wanted_yet() -> None:
    early = datetime(2026, 11, 20, 20, 2, tzinfo=UTC)
    asked = wanted(scope(DATED, now=early))
    assert asked.midnights[-1] == at(2026, 11, 20)
    assert asked.until == datetime(2026, 11, 20, 19, 30, tzinfo=UTC)
    asked = wanted(scope(DATED, now=early + timedelta(minutes=1)))
    assert asked.midnights[-1] == at(2026, 11, 21)
    assert asked.until == datetime(2026, 11, 20, 20, tzinfo=UTC)


def test_nothing_is_missing() -> None:
    for depth in (DATED, OLD, SLICES, NONE):
        made = plan(scope(depth), everything(scope(depth)))
        assert (made.questions, made.lost) == ((), ())


def test_nothing_is_missed_from_before_the_installation() -> None:
    assert plan(scope(DATED), Held(None)).questions == ()
    made = plan(scope(DATED), Held(datetime(2026, 11, 19, 21, 10, tzinfo=UTC)))
    assert made.questions[0] == Recall(
        Kind.PROFILE, datetime(2026, 11, 19, 21, 30, tzinfo=UTC), datetime(2026, 11, 20, 3, 30, tzinfo=UTC)
    )
    assert {question.kind for question in made.questions} == {Kind.PROFILE}


def test_months_before_days_before_profiles_and_the_oldest_first() -> None:
    one = scope(DATED)
    holes = [at(2026, 11, 1), at(2026, 11, 3), at(2024, 2, 1), at(2026, 8, 4)]
    starts = [datetime(2026, 11, 3, 5, tzinfo=UTC), datetime(2026, 9, 1, 5, tzinfo=UTC)]
    made = plan(one, lacking(one, holes, starts))
    assert made.questions == (
        Recall(Kind.MONTH, holes[2], holes[2]),
        Recall(Kind.MONTH, holes[0], holes[0]),
        Recall(Kind.DAY, holes[3], holes[3]),
        Recall(Kind.DAY, holes[1], holes[1]),
        Recall(Kind.PROFILE, starts[1], starts[1] + HALF),
        Recall(Kind.PROFILE, starts[0], starts[0] + HALF),
    )
    assert made.lost == ()


def test_a_long_hole_in_a_profile_is_asked_for_in_short_questions() -> None:
    one = scope(DATED)
    begin = datetime(2026, 11, 10, 3, tzinfo=UTC)
    made = plan(one, lacking(one, (), [begin + step * HALF for step in range(2 * CHUNK + 5)]))
    spans = [(question.begin, question.end) for question in made.questions]
    assert spans == [
        (begin, begin + CHUNK * HALF),
        (begin + CHUNK * HALF, begin + 2 * CHUNK * HALF),
        (begin + 2 * CHUNK * HALF, begin + (2 * CHUNK + 5) * HALF),
    ]


def test_what_fell_out_of_the_memory_is_lost() -> None:
    one = scope(OLD)
    made = plan(one, lacking(one, [at(2026, 11, 20), at(2026, 11, 19), at(2026, 11, 18), at(2026, 11, 1)]))
    assert [question.begin for question in made.questions] == [at(2026, 11, 1), at(2026, 11, 19), at(2026, 11, 20)]
    assert made.lost == (Gap(at(2026, 11, 18), at(2026, 11, 18), "day", "too_old"),)


def test_days_are_not_missed_of_a_meter_that_keeps_months_only() -> None:
    one = scope(SLICES)
    made = plan(one, lacking(one, [at(2026, 10, 1)]))
    assert made.questions == (Recall(Kind.MONTH, at(2026, 10, 1), at(2026, 10, 1)),)


def test_the_first_of_a_month_out_of_a_memory_of_days() -> None:
    one = scope(Depth(days=44))
    made = plan(one, lacking(one, [at(2026, 11, 1), at(2026, 10, 1)]))
    assert made.questions == (Recall(Kind.MONTH, at(2026, 11, 1), at(2026, 11, 1)),)
    assert made.lost == (Gap(at(2026, 10, 1), at(2026, 10, 1), "month", "too_old"),)


def test_of_a_memory_of_days_alone_an_earlier_first_is_too_old() -> None:
    made = plan(scope(Depth(days=2)), Held(at(2026, 10, 30), [at(2026, 11, 19)], last=NOW))
    assert made.questions == (Recall(Kind.DAY, at(2026, 11, 20), at(2026, 11, 20)),)
    assert Gap(at(2026, 11, 1), at(2026, 11, 1), "month", "too_old") in made.lost


def test_what_was_tried_is_lost_and_not_asked_again() -> None:
    begin = datetime(2026, 11, 10, 3, tzinfo=UTC)
    tried = {
        (Kind.DAY, at(2026, 11, 3)): "not_kept",
        (Kind.PROFILE, begin + HALF): "not_kept",
        (Kind.PROFILE, begin + 2 * HALF): "not_stored",
    }
    one = scope(DATED, tried=tried)
    made = plan(one, lacking(one, [at(2026, 11, 3)], [begin + step * HALF for step in range(4)]))
    assert made.questions == (
        Recall(Kind.PROFILE, begin, begin + HALF),
        Recall(Kind.PROFILE, begin + 3 * HALF, begin + 4 * HALF),
    )
    assert made.lost == (
        Gap(at(2026, 11, 3), at(2026, 11, 3), "day", "not_kept"),
        Gap(begin + HALF, begin + 2 * HALF, "profile", "not_kept"),
        Gap(begin + 2 * HALF, begin + 3 * HALF, "profile", "not_stored"),
    )


def test_without_a_memory_the_silences_are_listed_from_reading_to_reading() -> None:
    one = scope(NONE)
    begin, end = datetime(2026, 11, 3, 5, tzinfo=UTC), datetime(2026, 11, 9, 7, 30, tzinfo=UTC)
    assert wanted(one).apart == 2 * HALF
    assert wanted(scope(DATED)).apart is None
    made = plan(one, Held(LONG_AGO, (), (), [(begin, end)], NOW - 2 * HALF))
    assert made.questions == ()
    assert made.lost == (Gap(begin, end, "polls", "no_memory"),)
    silent = plan(one, Held(LONG_AGO, (), (), (), begin))
    assert silent.lost == (Gap(begin, NOW, "polls", "no_memory"),)
    never = plan(one, Held(begin))
    assert never.lost == (Gap(begin, NOW, "polls", "no_memory"),)


def test_after_a_look_that_found_everything_only_newer_things_are_looked_at() -> None:
    first = scope(DATED)
    done = wanted(first).until
    later = scope(DATED, now=NOW + timedelta(hours=6), since=done)
    asked = wanted(later)
    assert asked.midnights == (at(2026, 11, 21),)
    assert (asked.since, asked.until) == (done, datetime(2026, 11, 20, 20, 30, tzinfo=UTC))
    made = plan(later, Held(LONG_AGO))
    assert [question.kind for question in made.questions] == [Kind.DAY, Kind.PROFILE]
    assert made.questions[1] == Recall(Kind.PROFILE, done, asked.until)


def test_days_of_23_and_25_hours_are_days() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    asked = wanted(Scope(Depth(days=44), berlin, HALF, now))
    assert datetime(2026, 10, 24, 22, tzinfo=UTC) in asked.midnights
    assert datetime(2026, 10, 25, 23, tzinfo=UTC) in asked.midnights


@given(st.sets(st.integers(0, 200), max_size=60), st.sets(st.integers(0, 30), max_size=10))
def test_every_hole_is_asked_for_once_and_nothing_else(steps: set[int], days: set[int]) -> None:
    one = scope(DATED)
    asked = wanted(one)
    starts = {asked.until - (step + 1) * HALF for step in steps}
    midnights = {asked.midnights[-1 - day] for day in days}
    made = plan(one, lacking(one, midnights, starts))
    covered = [
        question.begin + step * HALF
        for question in made.questions
        if question.kind is Kind.PROFILE
        for step in range((question.end - question.begin) // HALF)
    ]
    assert sorted(covered) == sorted(starts)
    assert {question.begin for question in made.questions if question.kind is not Kind.PROFILE} == midnights
    assert all(question.end <= NOW - READY for question in made.questions)
