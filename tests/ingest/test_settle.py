"""What a batch changes in one register's history."""

from __future__ import annotations

from ingest.channel import MICRO
from ingest.delivery import Fate
from ingest.judge import HOUR, Limits
from ingest.model import NO_REASON, Quality, Reason, Source
from ingest.settle import Fresh, Row, Settlement, settle, written

LIMITS = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)


def row(hour: int, value: float, *, source: Source = Source.AUTOMATIC, reasons: Reason = NO_REASON) -> Row:
    quality = Quality.SUSPECT if reasons else Quality.GOOD
    return Row(source, hour * HOUR, round(value * MICRO), quality, reasons)


def fresh(
    hour: int, value: float, place: int = 0, *, source: Source = Source.AUTOMATIC, reasons: Reason = NO_REASON
) -> Fresh:
    return Fresh(source, hour * HOUR, round(value * MICRO), reasons, place)


def told(settlement: Settlement) -> list[tuple[int, int, list[str]]]:
    """(hour, kWh, reasons) of everything written."""
    return sorted((r.at // HOUR, r.value // MICRO, r.reasons.labels) for r in written(settlement))


def test_fresh_readings_are_inserted_with_their_judgement() -> None:
    settlement = settle(LIMITS, [row(0, 100)], [fresh(1, 101, 0), fresh(2, 9000, 1), fresh(3, 102, 2)])
    assert told(settlement) == [(1, 101, []), (2, 9000, ["above_max_rate"]), (3, 102, [])]
    assert settlement.verdicts[1].reasons == Reason.ABOVE_MAX_RATE


def test_an_earlier_neighbour_is_judged_again_and_its_value_stays() -> None:
    stored = [row(0, 100), row(1, 101), row(2, 0, reasons=Reason.BELOW_PREVIOUS)]
    settlement = settle(LIMITS, stored, [fresh(3, 1)])
    assert settlement.rejudged == [(stored[2], row(2, 0))]


def test_a_repeat_changes_nothing_and_hears_the_judgement_that_stands() -> None:
    stored = [row(0, 100), row(1, 9000, reasons=Reason.ABOVE_MAX_RATE)]
    settlement = settle(LIMITS, stored, [fresh(1, 9000)])
    assert written(settlement) == []
    assert (settlement.verdicts[0].fate, settlement.verdicts[0].reasons) == (Fate.REPEATED, Reason.ABOVE_MAX_RATE)


def test_a_repeat_within_the_batch_hears_the_same_verdict() -> None:
    settlement = settle(LIMITS, [row(0, 100)], [fresh(1, 9000, 0), fresh(1, 9000, 1), fresh(2, 101, 2)])
    assert settlement.verdicts[1].fate is Fate.REPEATED
    assert settlement.verdicts[1].reasons == settlement.verdicts[0].reasons == Reason.ABOVE_MAX_RATE


def test_another_value_of_a_device_for_the_same_instant_is_a_conflict() -> None:
    settlement = settle(LIMITS, [row(0, 100)], [fresh(0, 101)])
    assert written(settlement) == []
    assert (settlement.verdicts[0].fate, settlement.verdicts[0].code) == (Fate.QUARANTINED, "conflict")


def test_another_value_of_a_person_supersedes() -> None:
    before = row(0, 100, source=Source.CONSUMER)
    settlement = settle(LIMITS.softened(), [before], [fresh(0, 110, source=Source.CONSUMER)])
    assert settlement.superseded == [(before, row(0, 110, source=Source.CONSUMER))]
    assert settlement.verdicts[0].fate is Fate.SUPERSEDED


def test_a_person_may_correct_twice_in_one_batch_and_every_value_is_kept() -> None:
    person = Source.OPERATOR
    given = [fresh(0, value, place, source=person) for place, value in enumerate((100, 110, 120))]
    settlement = settle(LIMITS.softened(), [], given)
    assert settlement.inserted == [row(0, 100, source=person)]
    assert settlement.superseded == [
        (row(0, 100, source=person), row(0, 110, source=person)),
        (row(0, 110, source=person), row(0, 120, source=person)),
    ]
    assert [settlement.verdicts[n].fate for n in range(3)] == [Fate.STORED, Fate.SUPERSEDED, Fate.SUPERSEDED]


def test_a_reading_at_a_wrong_instant_is_nobodys_neighbour() -> None:
    future = row(9, 5, reasons=Reason.FUTURE_TIME)
    settlement = settle(LIMITS, [row(0, 100), future], [fresh(10, 101), fresh(11, 7, 1, reasons=Reason.CLOCK_DRIFT)])
    assert told(settlement) == [(10, 101, []), (11, 7, ["clock_drift"])]


def test_an_estimate_is_never_judged() -> None:
    settlement = settle(LIMITS, [], [fresh(n, value, n, source=Source.ESTIMATE) for n, value in enumerate((5, 900, 1))])
    assert {r.quality for r in written(settlement)} == {Quality.ESTIMATED}


def test_falls_and_jumps_are_watched_whether_believed_or_not() -> None:
    settlement = settle(LIMITS, [row(0, 100)], [fresh(1, 9000, 0), fresh(2, 101, 1), fresh(3, 102, 2)])
    assert sorted(at // HOUR for _, at in settlement.watched) == [1, 2]
    wrapped = settle(LIMITS, [row(0, 999_999)], [fresh(1, 2)])
    assert told(wrapped) == [(1, 2, [])]
    assert wrapped.watched == [(Source.AUTOMATIC, HOUR)]


def test_momentary_values_have_no_neighbours() -> None:
    settlement = settle(LIMITS, [row(0, 230)], [fresh(1, 228, 0), fresh(2, 0, 1), fresh(3, 231, 2)], counter=False)
    assert told(settlement) == [(1, 228, []), (2, 0, []), (3, 231, [])]


def test_other_evidence_overrules_the_neighbours_of_people_only() -> None:
    def dispute(source: Source, at: int, value: int) -> Reason:
        return Reason.DISPUTED

    people = settle(LIMITS, [], [fresh(0, 100, source=Source.CONSUMER)], dispute)
    machine = settle(LIMITS, [], [fresh(0, 100)], dispute)
    assert [r.reasons for r in written(people)] == [Reason.DISPUTED]
    assert [r.reasons for r in written(machine)] == [NO_REASON]


def test_stored_readings_are_looked_at_again_on_request() -> None:
    doubted = row(1, 101, source=Source.CONSUMER, reasons=Reason.DISPUTED)
    settlement = settle(LIMITS, [row(0, 100, source=Source.CONSUMER), doubted], [], again=(HOUR, HOUR))
    assert settlement.rejudged == [(doubted, row(1, 101, source=Source.CONSUMER))]
