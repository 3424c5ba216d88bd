"""Counting readings linked into a counter that never falls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ingest.chain import Chain, Mark, Step, judged_with, link
from ingest.channel import MICRO
from ingest.judge import HOUR, Limits
from ingest.model import Quality, Source

LIMITS = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)


def mark(hour: float, kwh: float, source: Source = Source.AUTOMATIC, quality: Quality = Quality.GOOD) -> Mark:
    return Mark(int(hour * HOUR), round(kwh * MICRO), quality, source)


def linked(
    *marks: Mark,
    breaks: Sequence[float] = (),
    notes: Mapping[int, str] | None = None,
    declared: Collection[float] = (),
) -> Chain:
    found = {Source.AUTOMATIC: [int(hour * HOUR) for hour in breaks]}
    return link(marks, LIMITS, found, notes or {}, [int(hour * HOUR) for hour in declared])


def moved(chain: Chain) -> list[float]:
    return [step / MICRO for step in chain.moved]


def test_nothing_has_no_chain() -> None:
    assert linked().ats == []


def test_good_steps_add_up() -> None:
    chain = linked(mark(0, 100), mark(1, 100.5), mark(2, 103))
    assert moved(chain) == [0, 0.5, 3]
    assert chain.steps == {}


def test_a_rollover_moves_by_the_wrapped_step_and_says_so() -> None:
    chain = linked(mark(0, 999_999), mark(1, 2), breaks=[1])
    assert moved(chain) == [0, 3]
    assert chain.steps == {1: Step(reasons=("rollover",))}


def test_an_unexplained_fall_moves_nothing_and_the_counting_goes_on() -> None:
    chain = linked(mark(0, 500), mark(1, 3), mark(2, 4), breaks=[1])
    assert moved(chain) == [0, 0, 1]
    assert chain.steps == {1: Step(explained=False, quality=Quality.SUSPECT, reasons=("unexplained_fall",))}


def test_an_unexplained_jump_moves_nothing_either() -> None:
    chain = linked(mark(0, 500), mark(1, 900), mark(2, 901), breaks=[1])
    assert moved(chain) == [0, 0, 1]
    assert chain.steps[1].reasons == ("unexplained_jump",)


def test_steps_that_were_possible_one_by_one_are_possible_together() -> None:
    just_over = 24 * 15.002
    chain = linked(mark(0, 100), mark(24, 100 + just_over))
    assert moved(chain) == [0, just_over]
    assert moved(linked(mark(0, 100), mark(24, 100 + just_over), breaks=[7])) == [0, 0]


def test_a_step_between_two_sources_must_be_possible_by_the_limits() -> None:
    assert moved(linked(mark(0, 100), mark(1, 116, Source.CONSUMER))) == [0, 16]
    assert moved(linked(mark(0, 100), mark(1, 118, Source.CONSUMER))) == [0, 0]
    assert moved(linked(mark(0, 100), mark(1, 116, Source.IMPORT))) == [0, 0]


def test_what_was_declared_was_never_judged() -> None:
    closing = mark(1, 900, Source.INSPECTION)
    earlier = mark(0, 500, Source.CONSUMER)
    assert moved(linked(earlier, closing)) == [0, 400]
    assert moved(linked(earlier, closing, declared=[1])) == [0, 0]


def test_an_estimate_makes_its_steps_estimated() -> None:
    chain = linked(mark(0, 100), mark(1, 101, Source.ESTIMATE, Quality.ESTIMATED), mark(2, 102))
    assert [chain.steps[n].quality for n in (1, 2)] == [Quality.ESTIMATED] * 2


def test_a_note_says_what_was_left_out_before_a_reading() -> None:
    chain = linked(mark(0, 100), mark(9, 101), notes={9 * HOUR: "detour"})
    assert chain.steps == {1: Step(reasons=("detour",))}


def test_people_are_judged_together_and_machines_apart() -> None:
    assert judged_with(Source.CONSUMER) is judged_with(Source.OPERATOR) is judged_with(Source.INSPECTION)
    assert judged_with(Source.AUTOMATIC) is not judged_with(Source.IMPORT)
