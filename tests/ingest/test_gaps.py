"""What is known to be missing, look after look: the time looked at is told anew, the rest stays as it was found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.gaps import Gap, Wanted, joined

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def ago(days: float) -> datetime:
    return NOW - days * DAY


LOOKED = Wanted((ago(2), ago(1)), ago(10), NOW)


def silence(begin: float, end: float) -> Gap:
    return Gap(ago(begin), ago(end), "polls", "no_memory")


def profile(begin: float, end: float, why: str = "not_kept") -> Gap:
    return Gap(ago(begin), ago(end), "profile", why)


def day(at: float) -> Gap:
    return Gap(ago(at), ago(at), "day", "too_old")


def test_what_was_looked_at_is_told_anew() -> None:
    assert joined([], LOOKED, [day(1), profile(9, 8), silence(5, 4)]) == []
    assert joined([day(2)], LOOKED, [day(1)]) == [day(2)]
    assert joined([silence(5, 3)], LOOKED, [silence(5, 4)]) == [silence(5, 3)]


def test_what_was_not_looked_at_stays() -> None:
    old = [day(40), profile(30, 20), silence(15, 10), day(1.5)]
    assert joined([day(1)], LOOKED, old) == sorted([*old, day(1)])


def test_a_stretch_grows_over_the_edge_of_the_look() -> None:
    assert joined([profile(10, 4)], LOOKED, [profile(12, 9)]) == [profile(12, 4)]
    assert joined([silence(10, 4)], LOOKED, [silence(12, 9)]) == [silence(12, 4)]
    assert joined([profile(10, 4, "not_stored")], LOOKED, [profile(12, 9)]) == [
        profile(12, 10),
        profile(10, 4, "not_stored"),
    ]


def test_what_ended_within_the_look_is_cut_and_a_silence_that_is_over_is_gone() -> None:
    assert joined([], LOOKED, [profile(12, 9)]) == [profile(12, 10)]
    assert joined([], LOOKED, [silence(12, 9)]) == []
    assert joined([silence(12, 3)], LOOKED, [silence(12, 9)]) == [silence(12, 3)]
