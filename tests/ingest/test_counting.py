"""Which readings count where several sources gave some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from ingest.chain import Mark
from ingest.channel import MICRO
from ingest.counting import Boundary, Policy, counting
from ingest.judge import HOUR, Limits
from ingest.model import Quality, Source
from tests.ingest.test_chain import mark

LIMITS = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)
DAY = 24


def counted(
    *marks: Mark,
    declared: Sequence[Mark] = (),
    policy: Policy | None = None,
    breaks: Mapping[Source, Sequence[int]] | None = None,
) -> list[tuple[float, float, Source]]:
    """What counts of marks that are all known: (hour, kWh, source)."""
    boundaries = [Boundary(one.at, _before(marks, one.at), _after(marks, one.at)) for one in marks]
    found = counting(boundaries, breaks or {}, declared, LIMITS, policy or Policy())
    return [(left.at / HOUR, left.value / MICRO, left.source) for left in found.marks]


def _before(marks: Sequence[Mark], at: int) -> tuple[Mark, ...]:
    nearest: dict[Source, Mark] = {}
    for one in sorted(marks):
        if one.at <= at:
            nearest[one.source] = one
    return tuple(nearest.values())


def _after(marks: Sequence[Mark], at: int) -> tuple[Mark, ...]:
    nearest: dict[Source, Mark] = {}
    for one in sorted(marks, reverse=True):
        if one.at >= at:
            nearest[one.source] = one
    return tuple(nearest.values())


def person(hour: float, kwh: float, source: Source = Source.CONSUMER) -> Mark:
    return mark(hour, kwh, source)


def estimate(hour: float, kwh: float) -> Mark:
    return mark(hour, kwh, Source.ESTIMATE, Quality.ESTIMATED)


def instants(found: Sequence[tuple[float, float, Source]]) -> list[float]:
    return [hour for hour, _, _ in found]


def test_a_person_beside_a_machine_that_gives_readings_does_not_count() -> None:
    assert instants(counted(mark(0, 100), person(5, 103), mark(10, 105))) == [0, 10]


def test_a_person_fills_the_silence_of_a_machine() -> None:
    assert instants(counted(mark(0, 100), person(DAY, 110), mark(3 * DAY, 130))) == [0, DAY, 3 * DAY]
    assert instants(counted(mark(0, 100), person(DAY, 110))) == [0, DAY]
    assert instants(counted(person(0, 100), mark(DAY, 110))) == [0, DAY]


def test_the_length_of_a_silence_is_configuration() -> None:
    marks = [mark(0, 100), person(DAY, 110), mark(3 * DAY, 130)]
    assert instants(counted(*marks, policy=Policy(silence=timedelta(days=7)))) == [0, 3 * DAY]


def test_a_control_reading_always_counts_and_hides_no_machine() -> None:
    marks = [mark(0, 100), person(5, 103, Source.INSPECTION), mark(10, 105), person(15, 107, Source.INSPECTION)]
    assert instants(counted(*marks, mark(20, 110))) == [0, 5, 10, 15, 20]


def test_the_order_of_sources_is_configuration() -> None:
    first = Policy(order=((Source.CONSUMER,), (Source.AUTOMATIC,)))
    assert instants(counted(mark(0, 100), person(5, 103), mark(10, 105), policy=first)) == [0, 5, 10]


def test_the_better_of_two_readings_at_one_instant_counts() -> None:
    assert counted(mark(0, 100), person(0, 99, Source.INSPECTION)) == [(0, 99, Source.INSPECTION)]
    assert counted(mark(0, 100.5), mark(0, 100.7, Source.IMPORT)) == [(0, 100.5, Source.AUTOMATIC)]


def test_an_estimate_is_gone_as_soon_as_a_fact_follows() -> None:
    assert instants(counted(mark(0, 100), estimate(30 * DAY, 300))) == [0, 30 * DAY]
    assert instants(counted(mark(0, 100), estimate(30 * DAY, 300), person(90 * DAY, 350))) == [0, 90 * DAY]
    assert instants(counted(estimate(0, 1), mark(5, 100))) == [0, 5]


def test_a_rounded_value_is_put_between_the_machines_readings_beside_it() -> None:
    low = counted(mark(0, 100.7), person(5, 100, Source.INSPECTION), mark(10, 101.2))
    high = counted(mark(0, 100.7), person(5, 102, Source.INSPECTION), mark(10, 101.2))
    assert [kwh for _, kwh, _ in low] == [100.7, 100.7, 101.2]
    assert [kwh for _, kwh, _ in high] == [100.7, 101.2, 101.2]


def test_a_value_that_is_wrong_by_more_is_left_as_it_is() -> None:
    assert counted(mark(0, 100.7), person(5, 98, Source.INSPECTION), mark(10, 101.2))[1][1] == 98


def test_what_was_declared_counts_before_anything_else() -> None:
    closing = person(10, 107, Source.INSPECTION)
    assert counted(mark(0, 100), mark(10, 105.5), declared=[closing]) == [
        (0, 100, Source.AUTOMATIC),
        (10, 107, Source.INSPECTION),
    ]


def test_a_declared_value_without_decimals_does_not_make_the_counter_fall() -> None:
    closing = person(10, 105, Source.INSPECTION)
    assert counted(mark(0, 100), mark(9, 105.5), declared=[closing])[-1] == (10, 105.5, Source.INSPECTION)


def test_every_series_is_healed_by_itself() -> None:
    marks = [mark(n, value) for n, value in enumerate([100, 101, 0, 0, 0, 0, 0, 102])]
    found = counted(*marks, person(3, 101), breaks={Source.AUTOMATIC: [2 * HOUR, 7 * HOUR]})
    assert found == [(0, 100, Source.AUTOMATIC), (1, 101, Source.AUTOMATIC), (7, 102, Source.AUTOMATIC)]


def test_sources_left_out_of_the_order_come_last() -> None:
    assert Policy(order=((Source.CONSUMER,),)).rank(Source.AUTOMATIC) == 1
