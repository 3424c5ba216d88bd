"""What a schedule costs a line, against the measured line times of the field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from typer.testing import CliRunner, Result

from collectors.budget import Load, budget, tries_of_a_dead_meter
from collectors.catalog import load_catalog
from collectors.cli import line
from collectors.line_settings import settings_of
from collectors.meter_model import Kind, Model, ModelRegister
from collectors.patience import Patience
from ingest.model import Line

CATALOG = load_catalog()
MINUTE = timedelta(minutes=1)


def serial(**options: object) -> Line:
    return Line("l", "modbus-rtu", "/dev/ttyUSB0", {"baud": 9600, **options})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(line, ["budget", *arguments])


def test_a_poll_takes_its_characters_and_the_meters_thinking() -> None:
    """20 registers at 9600 8N1: 53 characters, 3.5 of silence and 20 ms; measured in the field 62.5 ms and thinking."""
    registers = tuple(ModelRegister("1.8.0", at, 3, Kind.UINT32) for at in range(0, 20, 2))
    model = Model("m", "Somebody", "Twenty", "nowhere", 0, registers)
    [cost] = budget(settings_of(serial()), [Load(model, 1, 30 * MINUTE)]).costs
    assert cost.reads == 1
    assert cost.seconds == pytest.approx((53 + 3.5) * 10 / 9600 + 0.02, rel=0.01)


def test_twice_the_meters_take_twice_the_line_and_twice_the_period_half_of_it() -> None:
    settings, model = settings_of(serial()), CATALOG["abb-b23"]
    one = budget(settings, [Load(model, 10, 30 * MINUTE)])
    two = budget(settings, [Load(model, 20, 30 * MINUTE)])
    rare = budget(settings, [Load(model, 10, 60 * MINUTE)])
    assert two.share == pytest.approx(2 * one.share)
    assert rare.share == pytest.approx(one.share / 2)
    assert two.round_time == pytest.approx(2 * one.round_time)


def test_a_faster_line_has_more_room() -> None:
    load = Load(CATALOG["abb-b23"], 10, 30 * MINUTE)
    slow, fast = (budget(settings_of(serial(baud=baud)), [load]).share for baud in (2400, 19200))
    assert slow > 3 * fast


def test_a_dead_meter_is_tried_ever_less() -> None:
    first, later = tries_of_a_dead_meter(30 * MINUTE)
    assert first > later == 4
    patient = Patience(turns=3, time=60.0, retry=5.0, probe=60.0, longest=60.0)
    assert tries_of_a_dead_meter(30 * MINUTE, patient)[1] == 60


def test_the_dead_take_their_patience() -> None:
    settings, load = settings_of(serial(timeout=0.5)), Load(CATALOG["eastron-sdm120"], 30, MINUTE)
    none, three = budget(settings, [load]), budget(settings, [load], dead=3)
    assert none.dead_share == (0.0, 0.0)
    tries = three.dead_tries[0]
    assert three.dead_share[0] == pytest.approx(3 * tries * three.costs[0].silence / 3600)
    assert 0.5 < three.costs[0].silence < 1.0


def test_the_verdict_is_told_and_is_the_exit_code() -> None:
    good = run("--meters", "eastron-sdm630:30@15m", "--baud", "9600", "--dead", "3")
    assert good.exit_code == 0, good.output
    assert "It fits" in good.stdout
    assert "3 dead: tried" in good.stdout
    bad = run("--meters", "eastron-sdm630:200@10s", "--baud", "9600")
    assert bad.exit_code == 1
    assert "It does not fit" in bad.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--meters", "eastron-sdm630"), "write MODEL:COUNT"),
        (("--meters", "eastron-sdm630:0"), "write MODEL:COUNT"),
        (("--meters", "eastron-sdm630:3@0m"), "write MODEL:COUNT"),
        (("--meters", "nothing:3"), "'nothing' is not in the catalogue"),
        (("--meters", "abb-b23:3", "--baud", "9601"), "write one of 300"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert told in result.stderr


def test_meters_with_protocols_of_their_own_are_counted_by_their_conversations() -> None:
    """A Меркурий 230 at 9600: every question of its model, its serial number and clock, and once the channel."""
    model = CATALOG.serial["mercury-230"]
    settings = settings_of(Line("l", "serial", "/dev/ttyUSB0", {"baud": 9600}))
    often, rarely = (budget(settings, [Load(model, 1, minutes * MINUTE)]).costs[0] for minutes in (1, 30))
    questions = {ask.send for ask in model.asks}
    assert often.reads == len(questions) + 2
    assert rarely.reads == often.reads + 1
    # 05 00 00 is answered with 16 bytes: 6 characters and 19, 5 ms of silence, and what the meter thinks
    assert often.seconds > often.reads * (0.03 + 0.005) + 25 * 10 / 9600
    assert rarely.silence == pytest.approx(0.5 + (11 + 4) * 10 / 9600 + 0.05)


@pytest.mark.parametrize("slug", sorted(CATALOG.serial))
def test_every_serial_model_has_a_budget(slug: str) -> None:
    slow = run("--meters", f"{slug}:4@30m", "--baud", "2400")
    fast = run("--meters", f"{slug}:4@30m", "--baud", "9600")
    assert fast.exit_code == 0, fast.output
    assert "1 dead: tried" in fast.stdout
    assert seconds(slow) > seconds(fast) > 0


def seconds(result: Result) -> float:
    """The time of a whole round."""
    return float(result.stdout.partition("All meters once: ")[2].partition(" s")[0])


def test_a_schedule_of_serial_meters_that_does_not_fit_says_so() -> None:
    result = run("--meters", "energomera-ce303:40@1m")
    assert result.exit_code == 1
    assert "It does not fit" in result.stdout
    wrong = run("--meters", "mercury-230:1", "--kind", "modbus-tcp")
    assert wrong.exit_code == 1
    assert "kind modbus-tcp carries Modbus only, not mercury-230" in wrong.stderr
