"""The meter as a function of time: steady, exact, and what may happen to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.events import Drift, Exchange, Jump, Restart, Spike, Stall
from simulators.meter import Meter
from simulators.shape import load

START = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SHARES = {"2.8.0": Decimal("0.1"), "3.8.0": Decimal("0.3"), "4.8.0": Decimal("0.05")}


def meter(**facts: Any) -> Meter:
    known: dict[str, Any] = {"serial": "11000001", "shape": load("a"), "start": {"1.8.0": Decimal("100.55")}}
    return Meter(**(known | {"since": START} | facts))


def test_the_counter_starts_at_its_start_and_counts_the_households_energy() -> None:
    one = meter(resolution=Decimal("0.001"), offset=timedelta(hours=-6))
    assert one.values(START)["1.8.0"] == Decimal("100.550")
    assert one.values(START - DAY)["1.8.0"] == Decimal("100.550")
    energy = load("a").energy(AT) - load("a").energy(START)
    assert one.values(AT)["1.8.0"] == Decimal("100.55") + Decimal(energy // 1000) / 1000


def test_the_households_day_is_the_meters_day() -> None:
    shape = load("a")
    evening = datetime(2017, 1, 10, 18, tzinfo=UTC)
    here = meter(offset=timedelta(hours=4)).values(evening - timedelta(hours=4))["1.7.0"]
    there = shape.power(evening + timedelta(hours=6))
    assert meter(since=evening - DAY).values(evening - timedelta(hours=4))["1.7.0"] == there
    assert here == 0  # before the meter was there


def test_scale_multiplies_the_energy() -> None:
    one, three = meter(start={}, resolution=Decimal("0.001")), meter(start={}, scale=Decimal(3))
    assert abs(one.values(AT)["1.8.0"] * 3 - three.values(AT)["1.8.0"]) <= Decimal("0.01")


@given(st.lists(st.integers(0, 40 * 86400), min_size=2, max_size=10))
def test_no_counter_ever_runs_backwards_and_parts_add_up(seconds: list[int]) -> None:
    one = meter(zones=True, phases=3, shares=SHARES)
    before: dict[str, Decimal] = {}
    for second in sorted(seconds):
        now = one.values(START + timedelta(seconds=second))
        assert now["1.8.0"] == now["1.8.1"] + now["1.8.2"]
        assert now["1.8.0"] == now["21.8.0"] + now["41.8.0"] + now["61.8.0"]
        assert now["3.8.0"] == now["23.8.0"] + now["43.8.0"] + now["63.8.0"]
        assert now["15.8.0"] == now["1.8.0"] + now["2.8.0"]
        assert all(now[channel] >= value for channel, value in before.items() if ".8." in channel)
        before = now


def test_night_counts_only_at_night() -> None:
    one = meter(zones=True)
    noon = datetime(2026, 11, 20, 8, tzinfo=UTC)
    later = noon + timedelta(hours=6)
    assert one.values(noon)["1.8.2"] == one.values(later)["1.8.2"]
    assert one.values(noon)["1.8.1"] < one.values(later)["1.8.1"]
    midnight = datetime(2026, 11, 20, 20, tzinfo=UTC)
    assert one.values(midnight)["1.8.1"] == one.values(midnight + timedelta(hours=6))["1.8.1"]


def test_a_zones_own_start_is_kept() -> None:
    one = meter(zones=True, start={"1.8.0": Decimal(90), "1.8.2": Decimal(40)})
    shown = one.values(START)
    assert (shown["1.8.0"], shown["1.8.1"], shown["1.8.2"]) == (Decimal(90), Decimal(50), Decimal(40))


def test_shares_follow_the_import_and_what_is_not_metered_is_absent() -> None:
    shown = meter(start={}, shares={"3.8.0": Decimal("0.3")}).values(AT)
    assert abs(shown["3.8.0"] - shown["1.8.0"] * Decimal("0.3")) <= Decimal("0.01")
    assert not {"2.8.0", "4.8.0", "1.8.1", "21.8.0", "52.7.0"} & set(shown)


def test_power_is_the_slope_of_the_energy_and_current_fits_it() -> None:
    one = meter(phases=3, resolution=Decimal("0.001"), shares=SHARES)
    now, later = one.values(AT), one.values(AT + timedelta(minutes=15))
    assert abs((later["1.8.0"] - now["1.8.0"]) * 4000 - now["1.7.0"]) <= 8
    apparent = sum(now[f"{n}2.7.0"] * now[f"{n}1.7.0"] for n in (3, 5, 7))
    assert abs(apparent * now["13.7.0"] - now["1.7.0"]) < 1
    assert abs(now["21.7.0"] + now["41.7.0"] + now["61.7.0"] - now["1.7.0"]) < 1
    for channel in ("32.7.0", "52.7.0", "72.7.0"):
        assert 225 <= now[channel] <= 235
    assert abs(now["14.7.0"] - 50) <= Decimal("0.03")
    assert now["13.7.0"] == Decimal("0.958")


def test_the_same_question_has_the_same_answer_and_another_meter_another() -> None:
    assert meter().values(AT) == meter().values(AT)
    assert meter().values(AT)["32.7.0"] != meter(serial="11000002").values(AT)["32.7.0"]


def test_rollover() -> None:
    one = meter(start={"1.8.0": Decimal("999.99")}, digits=3, resolution=Decimal("0.01"))
    counted = meter(start={}, digits=9).values(AT)["1.8.0"]
    assert one.values(AT)["1.8.0"] == (counted + Decimal("999.99")) % 1000
    assert one.values(START)["1.8.0"] == Decimal("999.99")


def test_a_stall_repeats_everything_and_then_tells_the_truth() -> None:
    healthy, one = meter(), meter(events=(Stall(AT, AT + DAY),))
    assert one.values(AT + DAY / 2) == healthy.values(AT)
    assert one.values(AT + DAY) == healthy.values(AT + DAY)
    assert one.values(AT - DAY) == healthy.values(AT - DAY)


def test_a_jump_lasts_and_a_spike_does_not() -> None:
    healthy = meter()
    jump, spike = meter(events=(Jump(AT, Decimal("-20")),)), meter(events=(Spike(AT, AT + DAY, Decimal(4_294_967)),))
    assert jump.values(AT + 9 * DAY)["1.8.0"] == healthy.values(AT + 9 * DAY)["1.8.0"] - 20
    assert jump.values(AT - DAY) == healthy.values(AT - DAY)
    assert spike.values(AT)["1.8.0"] == 4_294_967
    assert spike.values(AT + DAY) == healthy.values(AT + DAY)


def test_a_jump_of_another_channel_leaves_the_total_alone() -> None:
    one = meter(zones=True, events=(Jump(AT, Decimal(5), "1.8.1"),))
    shown = one.values(AT + DAY)
    assert shown["1.8.1"] + shown["1.8.2"] == shown["1.8.0"] + 5


def test_a_restart_counts_from_zero() -> None:
    one = meter(events=(Restart(AT),))
    assert one.values(AT)["1.8.0"] == 0
    since = meter().values(AT + DAY)["1.8.0"] - meter().values(AT)["1.8.0"]
    assert abs(one.values(AT + DAY)["1.8.0"] - since) <= Decimal("0.01")
    assert one.serial_at(AT + DAY) == "11000001"


def test_an_exchange_brings_another_serial_and_its_own_start() -> None:
    one = meter(events=(Exchange(AT, "33000001", {"1.8.0": Decimal("7.5")}),))
    assert one.serial_at(AT - timedelta(seconds=1)) == "11000001"
    assert one.serial_at(AT) == "33000001"
    assert one.values(AT)["1.8.0"] == Decimal("7.5")
    assert one.values(AT - DAY) == meter().values(AT - DAY)


def test_events_that_follow_each_other_all_count() -> None:
    events = (Restart(AT + DAY), Jump(AT, Decimal(50)), Exchange(AT + 2 * DAY, "3"), Jump(AT + 2 * DAY, Decimal(9)))
    one = meter(events=events)
    assert one.values(AT + DAY)["1.8.0"] == 0
    assert one.values(AT + 2 * DAY)["1.8.0"] == 9
    assert one.serial_at(AT + 2 * DAY) == "3"


def test_the_clock_drifts_and_speaks_local_time() -> None:
    one = meter(events=(Drift(AT, 30.0),))
    assert one.clock(AT + 2 * DAY) == AT + 2 * DAY + timedelta(seconds=60)
    assert one.clock(AT).isoformat() == "2026-11-20T18:30:00+04:00"


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"phases": 2}, "phases 2 must be 1 or 3"),
        ({"scale": Decimal(-1)}, "scale -1"),
        ({"resolution": Decimal(0)}, "resolution 0"),
        ({"resolution": Decimal("0.0000001")}, "whole number of mWh"),
        ({"shares": {"1.8.0": Decimal(1)}}, "share of 1.8.0 is unknown"),
        ({"since": START.replace(tzinfo=None)}, "no time zone"),
    ],
)
def test_impossible_meters_are_refused(facts: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        meter(**facts)
