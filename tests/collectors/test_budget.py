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
