"""Silence: which part of the road is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.remedies import REMEDIES, remedy
from ingest.silence import Heard, Level, Road, Roads, Silence, silences

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=9)
HALF_HOUR = timedelta(minutes=30)
WELL = Roads(collectors_alive=True, subscribers_alive=True, brokers={"broker:1883": None})


def polled(
    meter: str, failure: str | None = None, *, line: str = "tp-1", tried: float = 1, answered: float | None = 1
) -> Heard:
    """A meter on a line; `tried` and `answered` are minutes ago."""
    return Heard(
        meter,
        f"P-{meter}",
        Road.LINE,
        line,
        HALF_HOUR,
        LONG_AGO,
        NOW - timedelta(minutes=tried),
        None if answered is None else NOW - timedelta(minutes=answered),
        failure,
    )


def pushed(meter: str, *, gateway: str = "gw-1", heard: float | None = 1) -> Heard:
    """A meter behind a gateway, heard so many minutes ago."""
    at = None if heard is None else NOW - timedelta(minutes=heard)
    return Heard(meter, f"P-{meter}", Road.GATEWAY, gateway, HALF_HOUR, LONG_AGO, at, at)


def faults(*meters: Heard, roads: Roads = WELL) -> list[tuple[Level, str, str, tuple[str, ...]]]:
    return [(one.level, one.place, one.cause, one.meters) for one in silences(meters, roads, NOW)]


def test_answering_meters_are_no_fault() -> None:
    assert faults(polled("1"), polled("2"), pushed("3")) == []


def test_one_silent_meter_among_others_is_its_own_fault() -> None:
    assert faults(polled("1"), polled("2", "timeout", answered=300)) == [(Level.METER, "2", "timeout", ("2",))]


def test_a_line_where_nobody_answers_is_named_once() -> None:
    found = silences([polled(n, "timeout", answered=90) for n in "123"], WELL, NOW)
    assert found == [Silence(Level.LINE, "tp-1", "nobody_answers", NOW - timedelta(minutes=90), ("1", "2", "3"))]


def test_a_meter_that_is_alone_on_its_line_cannot_be_told_from_the_line() -> None:
    assert faults(polled("1", "timeout")) == [(Level.METER, "1", "silent_alone", ("1",))]
    assert faults(polled("1", "malformed")) == [(Level.METER, "1", "malformed", ("1",))]
    for part in ("power", "address", "polarity", "speed", "parity"):
        assert part in remedy("silent_alone").en, "both the meter and the line are to be looked at"


def test_a_meter_whose_neighbours_nobody_asks_is_alone_as_well() -> None:
    unasked = polled("2", tried=91, answered=91)
    assert (Level.METER, "1", "silent_alone", ("1",)) in faults(polled("1", "timeout"), unasked)


def test_a_lost_port_takes_its_meters_along_and_leaves_others_their_own_cause() -> None:
    found = faults(polled("1", "line_down"), polled("2", "line_down"), polled("3", "swapped_meter"))
    assert found == [(Level.LINE, "tp-1", "line_down", ("1", "2")), (Level.METER, "3", "swapped_meter", ("3",))]


def test_different_failures_of_all_meters_are_not_the_line() -> None:
    found = faults(polled("1", "timeout"), polled("2", "malformed"))
    assert [level for level, *_ in found] == [Level.METER, Level.METER]


def test_a_meter_that_nobody_asks_is_ours() -> None:
    stale = polled("1", tried=91, answered=91)
    assert faults(stale, polled("2")) == [(Level.US, "tp-1", "line_unowned", ("1",))]
    dead = Roads(collectors_alive=False, subscribers_alive=True, brokers={})
    both = (stale, polled("2", line="tp-2", tried=200, answered=200))
    assert faults(*both, roads=dead) == [(Level.US, "collector", "no_collector", ("1", "2"))]


def test_a_meter_that_was_never_tried_is_ours_only_after_its_time() -> None:
    new = Heard("1", "P-1", Road.LINE, "tp-1", HALF_HOUR, NOW - timedelta(minutes=80))
    old = Heard("1", "P-1", Road.LINE, "tp-1", HALF_HOUR, NOW - timedelta(minutes=91))
    assert faults(new) == []
    assert faults(old) == [(Level.US, "tp-1", "line_unowned", ("1",))]


def test_a_given_up_meter_that_is_probed_rarely_is_not_ours() -> None:
    quick = Heard(
        "1", None, Road.LINE, "a", timedelta(seconds=15), LONG_AGO, NOW - timedelta(minutes=17), None, "timeout"
    )
    assert faults(quick, polled("2", line="a")) == [(Level.METER, "1", "timeout", ("1",))]


def test_gateways_are_named_when_nothing_of_them_comes() -> None:
    found = faults(pushed("1", heard=100), pushed("2", heard=None), pushed("3", gateway="gw-2"))
    assert found == [(Level.GATEWAY, "gw-1", "gateway_silent", ("1", "2"))]


def test_one_meter_a_gateway_no_longer_brings_is_the_meter() -> None:
    assert faults(pushed("1", heard=100), pushed("2")) == [(Level.METER, "1", "overdue", ("1",))]


def test_a_lost_broker_is_named_instead_of_its_gateways() -> None:
    since = NOW - timedelta(hours=2)
    lost = Roads(collectors_alive=True, subscribers_alive=True, brokers={"broker:1883": (since, "refused")})
    found = silences([pushed("1", heard=120), pushed("2", gateway="gw-2", heard=121)], lost, NOW)
    assert found == [Silence(Level.BROKER, "broker:1883", "broker_lost", since, ("1", "2"), "refused")]


def test_without_a_subscriber_silent_gateways_are_ours() -> None:
    alone = Roads(collectors_alive=True, subscribers_alive=False, brokers={})
    assert faults(pushed("1", heard=100), roads=alone) == [(Level.US, "subscriber", "nobody_listens", ("1",))]


def test_the_widest_fault_comes_first() -> None:
    found = faults(
        polled("9", "timeout", line="b"),
        polled("8", line="b"),
        polled("1", tried=100, answered=100, line="c"),
        pushed("5", heard=100),
        polled("2", "line_down"),
    )
    assert [level for level, *_ in found] == [Level.US, Level.LINE, Level.GATEWAY, Level.METER]


@pytest.mark.parametrize("code", ["timeout", "line_down", "malformed", "refused", "busy", "swapped_meter"])
def test_every_failure_of_a_poll_has_a_remedy(code: str) -> None:
    assert remedy(code) is REMEDIES[code]


@pytest.mark.parametrize("meter", [polled("1", "timeout"), pushed("1", heard=100), polled("1", "line_down")])
def test_every_cause_made_here_has_a_remedy(meter: Heard) -> None:
    for roads in (WELL, Roads(False, False, {}), Roads(True, True, {"b": (NOW, "x")})):
        for cause in (fault.cause for fault in silences([meter], roads, NOW)):
            assert REMEDIES[cause].en
            assert REMEDIES[cause].ru
