"""Alerts: raised once, over once, gathered, and quiet at night."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from ingest.alert_words import message
from ingest.alerts import Alert, Condition, Digest, QuietHours, Rules, digest, follow, told
from ingest.errors import Misconfigured

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINE = Condition("line:tp-1", "line", "line_down", "3 meters")
METER = Condition("meter:7", "meter", "timeout", "meter 7")
RULES = Rules()


class Watch:
    """Looks every minute and notes what would be sent, as (minute, raised keys, cleared keys)."""

    def __init__(self, rules: Rules = RULES, start: datetime = START) -> None:
        self.rules, self.start, self.minute = rules, start, 0
        self.alerts: list[Alert] = []
        self.sent: list[tuple[int, list[str], list[str]]] = []

    def look(self, conditions: Iterable[Condition], minutes: int) -> None:
        conditions = list(conditions)
        for _ in range(minutes):
            now = self.start + timedelta(minutes=self.minute)
            self.alerts = follow(self.alerts, conditions, now, self.rules)
            said = digest(self.alerts, now, self.rules)
            if said:
                self.sent.append((self.minute, [a.key for a in said.raised], [a.key for a in said.cleared]))
                self.alerts = told(self.alerts, said, now)
            self.minute += 1


def test_a_fault_is_told_once_after_it_stood_and_was_gathered_and_its_end_once() -> None:
    watch = Watch()
    watch.look([LINE], 60)
    assert watch.sent == [(10, ["line:tp-1"], [])]  # 5 minutes to stand, 5 to gather
    watch.look([], 60)
    assert watch.sent[1:] == [(74, [], ["line:tp-1"])]  # last true at 59, over after 10, gathered for 5
    assert watch.alerts == []


def test_a_flicker_is_never_told() -> None:
    watch = Watch()
    for _ in range(20):
        watch.look([LINE], 4)
        watch.look([], 12)
    assert watch.sent == []


def test_a_fault_that_flickers_while_it_stands_is_one_fault() -> None:
    watch = Watch()
    for _ in range(20):
        watch.look([LINE], 6)
        watch.look([], 3)
    assert watch.sent == [(10, ["line:tp-1"], [])]


def test_a_single_meter_waits_longer() -> None:
    watch = Watch()
    watch.look([METER], 80)
    assert watch.sent == [(65, ["meter:7"], [])]


def test_many_faults_are_one_message() -> None:
    watch = Watch()
    watch.look([LINE], 3)
    watch.look([LINE, Condition("line:tp-2", "line", "line_down", "")], 30)
    assert watch.sent == [(10, ["line:tp-1", "line:tp-2"], [])]


def test_what_is_urgent_takes_the_rest_along_at_once() -> None:
    watch = Watch()
    watch.look([LINE, Condition("us:collector", "us", "no_collector", "")], 30)
    assert watch.sent == [(5, ["line:tp-1", "us:collector"], [])]


def test_quiet_hours_hold_back_what_can_wait_until_they_end() -> None:
    moscow = QuietHours.parse("22:00-07:00", "Europe/Moscow")
    watch = Watch(Rules(quiet=moscow), datetime(2026, 11, 21, 20, tzinfo=UTC))  # 23:00 in Moscow
    watch.look([LINE], 9 * 60)
    assert watch.sent == [(8 * 60, ["line:tp-1"], [])]
    watch = Watch(Rules(quiet=moscow), datetime(2026, 11, 21, 20, tzinfo=UTC))
    watch.look([Condition("broker:b", "broker", "broker_lost", "")], 60)
    assert watch.sent == [(5, ["broker:b"], [])]


def test_what_was_not_told_before_it_ended_needs_no_message() -> None:
    night = Rules(quiet=QuietHours(time(0), time(23, 59), ZoneInfo("UTC")))
    watch = Watch(night)
    watch.look([LINE], 30)
    watch.look([], 30)
    assert (watch.sent, watch.alerts) == ([], [])


@pytest.mark.parametrize(
    ("text", "zone"), [("22", "UTC"), ("22:00-7", "UTC"), ("22:00-07:00", "Moscow"), ("a-b", "UTC"), ("-", "")]
)
def test_quiet_hours_that_are_none_are_named(text: str, zone: str) -> None:
    with pytest.raises(Misconfigured, match="22:00-07:00"):
        QuietHours.parse(text, zone)


@pytest.mark.parametrize(("language", "word"), [("en", "others on the line"), ("ru", "другие на линии")])
def test_a_message_says_what_to_try(language: str, word: str) -> None:
    alert = Alert("meter:7", "meter", "timeout", "meter 7", START, START, START)
    said = message(Digest((alert,), ()), "ru" if language == "ru" else "en")
    assert word in said.text
    assert "1" in said.subject
    assert said.facts["raised"][0]["key"] == "meter:7"
