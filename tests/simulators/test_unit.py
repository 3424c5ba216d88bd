"""One unit: its registers in time, its identity, and which fault meets which request."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.clock import Clock
from simulators.faults import Fault, Kind
from simulators.layouts import layout_of
from simulators.models import meter_of
from simulators.unit import Unit

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ASK = bytes.fromhex("04 0048 0002")


def unit(*scenario: Fault) -> Unit:
    clock = Clock(AT, factor=0)
    return Unit(meter_of("eastron-sdm120", "11000005", shares={}), layout_of("eastron-sdm120"), clock, scenario)


def met(one: Unit) -> Kind | None:
    fault = one.fault()
    return fault.kind if fault else None


def test_a_fault_may_meet_every_third_request_only() -> None:
    one = unit()
    one.break_with("dead", every=3)
    assert [met(one) for _ in range(6)] == [None, None, Kind.DEAD] * 2
    one.mend()
    assert [met(one) for _ in range(3)] == [None] * 3
    assert one.requests == 9


def test_a_scenario_holds_for_its_time_and_the_hand_outranks_it() -> None:
    one = unit(Fault(Kind.DEAD, begin=AT + timedelta(hours=1), end=AT + timedelta(hours=2)))
    kinds = []
    for minutes in (0, 60, 119, 120):
        one.clock.move(AT + timedelta(minutes=minutes))
        kinds.append(met(one))
    assert kinds == [None, Kind.DEAD, Kind.DEAD, None]
    one.clock.move(AT + timedelta(minutes=60))
    one.break_with("busy")
    assert met(one) is Kind.BUSY


def test_impossible_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="late takes seconds above 0"):
        Fault(Kind.LATE)
    with pytest.raises(ValueError, match="every 0"):
        Fault(Kind.DEAD, every=0)
    with pytest.raises(ValueError, match="'sleepy'"):
        unit().break_with("sleepy")


def test_registers_follow_the_clock_by_whole_seconds() -> None:
    one = unit()
    before = one.answer(ASK)
    one.clock.move(AT + timedelta(milliseconds=900))
    assert one.answer(ASK) == before
    one.clock.move(AT + timedelta(days=1))
    assert one.answer(ASK) != before
    assert one.meter.values(AT)["1.8.0"] > Decimal("1234.5")


def test_the_serial_number_is_read_at_its_own_place() -> None:
    one = unit()
    assert one.answer(bytes.fromhex("03 fc00 0002")) == b"\x03\x04" + (11000005).to_bytes(4, "big")
    assert one.answer(bytes.fromhex("03 0048 0002")) == b"\x83\x02"
    assert one.answer(bytes.fromhex("04 fc00 0002")) == b"\x84\x02"


def test_a_count_no_model_takes_is_refused() -> None:
    one = unit()
    assert one.answer(bytes.fromhex("04 0000 0000")) == b"\x84\x03"
    assert one.answer(bytes.fromhex("04 0000 0051")) == b"\x84\x03"
    assert len(one.answer(bytes.fromhex("04 0000 0050"))) == 162
    assert one.answer(bytes.fromhex("04 0000")) == b"\x84\x03"
