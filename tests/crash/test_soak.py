"""The soak in little: every part killed, frozen and cut off for half a minute, and each reading checked; and that the
check is one: what it must find, it finds."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.soak import Result, soak
from bench.soak_deeds import Deed
from bench.soak_house import Size
from bench.soak_plan import KINDS, Fault, plan
from bench.soak_truth import CLOSE, Around, unmatched

SMALL = Size(lines=2, meters=6, gateways=2, pushed=3)
SECONDS = 30.0
SEED = 9


async def test_nothing_is_lost_doubled_or_wrong_whatever_is_killed() -> None:
    result = await soak(SECONDS, SEED, SMALL, every=1.2)
    found = result.found
    assert len(result.deeds) >= 15, "the faults really were done"
    assert (found.lost, found.doubled, found.wrong, found.miscaused) == ([], [], [], []), logs(result)
    assert found.checked["polled"] > 500
    assert found.checked["pushed"] > 500
    assert found.checked["typed"]
    assert (result.unsettled, result.quarantined, result.slow_stops, result.person.unexpected) == ([], [], [], [])


def logs(result: Result) -> str:
    """The ends of the processes' logs, for whoever looks for the reason."""
    return "\n".join(f"--- {name}\n{text[-4000:]}" for name, text in result.logs.items())


def test_a_plan_is_the_same_for_the_same_seed_and_knows_every_kind_of_fault() -> None:
    long = plan(5, 600, 4, 2.3)
    assert long == plan(5, 600, 4, 2.3)
    assert long != plan(6, 600, 4, 2.3)
    assert len(long) >= 200
    assert {fault.kind for fault in long} == KINDS.keys()
    assert [fault.at for fault in long] == sorted(fault.at for fault in long)


def test_neighbours_under_a_stepped_clock_are_told_apart() -> None:
    """As they came in a run: the clock was ahead by 1.3 s, and two polls stood 1.23 s apart."""
    answered = [-1.48, 0.0, 1.23, 2.53, 4.55]
    stored = [-1.48, 1.27, 2.52, 2.53, 4.54]

    def steps(at: float) -> list[float]:
        return [0.0, 1.3] if -3 <= at <= 3 else [0.0]

    for lost in range(-1, 5):
        left = [at for place, at in enumerate(stored) if place != lost]
        assert len(unmatched(left, answered, steps, CLOSE)) == (lost >= 0), "none too many, and none too few"
        assert left == []


def test_a_thawed_line_brings_old_questions_and_no_other_does() -> None:
    """As it came in a run: frozen for six seconds, what was asked in its second second was answered at the end."""
    frozen = Deed(Fault(0, "network freeze", "line-3", 6), *(datetime.fromtimestamp(at, UTC) for at in (100, 106)))
    here, elsewhere = (Around([frozen], line, [], []) for line in ("line-3", "line-1"))
    assert [here.asked_since(at) for at in (99.0, 103.0, 106.1, 107.5)] == [99.0, 100.0, 100.0, 107.5]
    assert elsewhere.asked_since(106.1) == 106.1
