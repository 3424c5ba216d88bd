"""Whose turn it is: the longest overdue first, given-up meters once a round, and nobody who has left."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collectors.patience import Health, Patience
from collectors.turns import Turn, Turns
from tests.collectors.modbus_rig import polled

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GIVES_UP = Patience(turns=1, time=0.0)


def turn(unit: int, ago: int = 0, *, off: bool = False) -> Turn:
    health = Health(GIVES_UP, lambda: 0.5)
    if off:
        health.failed(NOW)
    return Turn(polled(unit), "", NOW - timedelta(seconds=ago), timedelta(0), health)


def turns(*all_of_them: Turn) -> Turns:
    made = Turns()
    for one in all_of_them:
        made.add(one)
    return made


def round_of(made: Turns, count: int) -> list[str]:
    """Who is asked in which order when everybody is due again at once."""
    asked = []
    for number in range(count):
        first = made.take(NOW)
        assert first
        asked.append(first.meter.address)
        first.due = NOW - timedelta(seconds=1) + timedelta(microseconds=number)
        made.put(first)
    return asked


def test_the_longest_overdue_is_first() -> None:
    assert round_of(turns(turn(1, 10), turn(2, 30), turn(3, 20)), 3) == ["2", "3", "1"]


def test_nobody_is_asked_before_it_is_due() -> None:
    made = turns(turn(1, -1), turn(2, -5, off=True))
    assert not made.waits(NOW)
    assert made.take(NOW) is None
    assert sorted(made.instants()) == [NOW + timedelta(seconds=1), NOW + timedelta(seconds=5)]


def test_given_up_meters_are_probed_once_a_round() -> None:
    made = turns(turn(1, 100), turn(2, 100), turn(3, 100), turn(8, 999, off=True), turn(9, 999, off=True))
    asked = round_of(made, 16)
    assert asked.count("8") + asked.count("9") == 4
    assert asked.count("1") == asked.count("2") == asked.count("3") == 4


def test_a_probe_fills_the_time_when_all_else_rests() -> None:
    made = turns(turn(1, -60), turn(9, 1, off=True))
    first = made.take(NOW)
    assert first
    assert first.meter.address == "9"


def test_a_meter_that_left_during_its_poll_does_not_come_back() -> None:
    leaving = turn(1, 10)
    made = turns(leaving, turn(2, 5))
    assert made.take(NOW) is leaving
    made.keep({"serial-2"})
    made.put(leaving)
    assert round_of(made, 2) == ["2", "2"]
    assert made.of("serial-1") is None
    assert len(made) == 1


def test_a_meter_that_changed_during_its_poll_keeps_the_change() -> None:
    old, other = turn(1, 10), replace(polled(1), address="77")
    made = turns(old)
    assert made.take(NOW) is old
    made.add(Turn(other, "", NOW, timedelta(0), Health(GIVES_UP, lambda: 0.5)))
    made.put(old)
    assert round_of(made, 2) == ["77", "77"]


def test_a_requeue_leaves_nobody_far_off() -> None:
    made = turns(turn(1, -86400), turn(2, 5))
    made.requeue(NOW)
    assert all(one.due <= NOW + one.meter.period for one in made)


def test_the_regular_instant_follows_from_the_one_before_and_from_the_clock() -> None:
    half_hourly = turn(1)
    instants = [half_hourly.regular(NOW + timedelta(minutes=30 * at, seconds=1)) for at in range(4)]
    assert instants == [NOW + timedelta(minutes=30 * (at + 1)) for at in range(4)]
    assert half_hourly.regular(NOW + timedelta(days=2, minutes=1)) == NOW + timedelta(days=2, minutes=30)


def test_what_is_asked_has_its_tenth_of_a_second_and_no_instant_twice() -> None:
    one, tenth = turn(1), NOW + timedelta(milliseconds=100)

    def asked(now: datetime) -> datetime:
        one.begin(now)
        return one.asked

    assert asked(NOW + timedelta(milliseconds=199)) == tenth
    again = NOW + timedelta(milliseconds=199, microseconds=5)
    assert asked(again) == again, "asked once more within the tenth"
    assert asked(NOW + timedelta(milliseconds=200)) == NOW + timedelta(milliseconds=200)
    set_back = NOW - timedelta(hours=1, microseconds=7)
    assert asked(set_back) == set_back, "the clock was set back"


def test_who_is_asked_is_due_again_at_the_next_regular_instant() -> None:
    one = turn(1)
    one.begin(NOW + timedelta(minutes=7))
    assert one.due == NOW + timedelta(minutes=30)


@pytest.mark.parametrize("off", [0, 3], ids=["all well", "some given up"])
def test_to_follow_is_to_put_back_and_take_the_next(off: int) -> None:
    """Whatever happens on the way: failures, meters given up, others that left or were withdrawn."""
    dice = random.Random(off)
    agos = [dice.randrange(100) for _ in range(12)]

    def made() -> tuple[Turns, list[Turn]]:
        all_of_them = [turn(unit, ago, off=unit <= off) for unit, ago in enumerate(agos, 1)]
        for one in all_of_them[off:]:
            one.failing = False
        return turns(*all_of_them), all_of_them

    (swift, ours), (plain, theirs) = made(), made()
    mine, other, now = swift.take(NOW), plain.take(NOW), NOW
    for step in range(300):
        assert (mine and mine.serial) == (other and other.serial), step
        now += timedelta(seconds=dice.randrange(20))
        again = now + timedelta(seconds=dice.choice([60, 60, 60, 61, 5]))
        if mine is None or other is None:
            mine, other = swift.take(now), plain.take(now)
            continue
        mine.due = other.due = again
        if dice.random() < 0.05:
            at = dice.randrange(len(ours))
            swift.withdraw(ours[at])
            plain.withdraw(theirs[at])
            for made_of, one in ((swift, ours[at]), (plain, theirs[at])):
                if one not in (mine, other):
                    made_of.put(one)
        mine = swift.follow(mine, now)
        plain.put(other)
        other = plain.take(now)


def test_a_meter_that_left_during_its_poll_is_not_followed_by_itself() -> None:
    leaving = turn(1, 10)
    made = turns(leaving, turn(2, 5))
    assert made.take(NOW) is leaving
    made.keep({"serial-2"})
    following = made.follow(leaving, NOW)
    assert following
    assert following.meter.address == "2"
    assert made.take(NOW) is None
