"""The fleet file read strictly: every mistake named, all of them at once, and nothing lost on the way out and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import Misconfigured
from ingest.model import Installation, Line, Meter, MeteringPoint, RegisterSpec
from storage.fleet_difference import compare
from storage.fleet_file import read_fleet
from storage.fleet_mistake import FleetMistakes
from storage.fleet_model import Contract, Fleet, FleetMeter, Models
from storage.fleet_pairs import pair_up
from storage.fleet_toml import write_toml
from tests.storage.fleet_rig import MODELS, STREET

NOTHING = Fleet()


def mistakes(document: str) -> list[str]:
    with pytest.raises(FleetMistakes) as caught:
        read_fleet(document, MODELS, NOTHING)
    return [str(mistake) for mistake in caught.value.mistakes]


WRONG = [
    # a change of the street, and what must be said: table and entry, field, value, remedy
    ('period = "1h"', 'perod = "1h"', "[[meter]] 10000001: perod = '1h': this key is unknown; did you mean 'period'?"),
    (
        "[[contract]]",
        "[[contrct]]",
        "this table is unknown; did you mean [[contract]]?",
    ),
    (
        'model = "sdm120"',
        'model = "sdm12"',
        "model = 'sdm12': is not in the catalogue; did you mean 'sdm120'?",
    ),
    ("registers = [{", "registers = [{colour = 1, ", "[[meter]] 0042: colour = 1: this key is unknown"),
    ("digits = 5,", "digits = 15,", "[[meter]] 0042: digits = 15: write a whole number from 1 to 12"),
    ("digits = 5,", 'digits = "5",', "[[meter]] 0042: digits = '5': write a whole number"),
    ('channel = "1.8.0", digits', 'channel = "1-8-0", digits', "is not an OBIS code"),
    ('channel = "1.8.0", digits', 'channel = "1.5.0", digits', "has no known unit"),
    ('max_rate = "7.5"', 'max_rate = "nan"', "[[meter]] 0042: max_rate = 'nan': write an exact number"),
    ('"10.0.0.7:502"', '"10.0.0.7"', "[[line]] tp-101: address = '10.0.0.7': write host:port"),
    ('"10.0.0.7:502"', '"10.0.0.7:99999"', "[[line]] tp-101: address = '10.0.0.7:99999': write host:port"),
    ('"10.0.0.7:502"', '"modbus tcp://h:1"', "[[line]] tp-101: address"),
    (
        'kind = "modbus-tcp"',
        'kind = "modbus"',
        "kind = 'modbus': is not a kind of line; known are",
    ),
    ("retries = 1", "retries = 2026-01-01", "[[line]] tp-101: options"),
    ("address = 5", "address = 256", "[[meter]] 10000001: address = 256: is no Modbus unit of a modbus-tcp line"),
    ("address = 5", "address = -1", "[[meter]] 10000001: address = -1"),
    ("address = 5", "address = true", "[[meter]] 10000001: address = True"),
    ("address = 5\n", "", "[[meter]] 10000001: address: is missing"),
    ('line = "tp-101"\n', "", "[[meter]] 10000001: line: is missing"),
    ('line = "tp-101"', 'line = "tp-102"', "[[meter]] 10000001: line = 'tp-102': there is no such line; add [[line]]"),
    ('line = "tp-101"', 'line = "tp-101"\ngateway = "g"', "a meter is reached by a line or by a gateway"),
    ('serial = "10000001"', "serial = 10000001", "[[meter]] 10000001: serial = 10000001: write it as a text"),
    ('serial = "10000001"', 'serial = ""', "[[meter]]: serial = '': is empty"),
    ('serial = "10000001"', 'serial = " 1"', "serial = ' 1': remove the spaces"),
    ('serial = "10000001"', 'serial = "1\\u0000"', "characters that cannot be printed"),
    ('serial = "10000002"', 'serial = "10000001"', "two meters have this serial number"),
    ('serial = "10000001"\n', "", "[[meter]]: serial: is missing"),
    ('period = "1h"', 'period = "hourly"', "[[meter]] 10000001: period = 'hourly': write a length of time"),
    ('period = "1h"', 'period = "0m"', "[[meter]] 10000001: period = '0m'"),
    ('period = "1h"', 'period = ""', "[[meter]] 10000001: period = ''"),
    ('period = "1h"', 'period = "99999999999999999999d"', "[[meter]] 10000001: period"),
    ("2031-05-01", '"2031-05-01"', "[[meter]] 10000001: verified_until = '2031-05-01': write a day"),
    ("2031-05-01", "2031-05-01T00:00:00+04:00", "[[meter]] 10000001: verified_until"),
    ('period = "1h"', "period = 3600", "[[meter]] 10000001: period = 3600"),
    (
        'zone = "Europe/Samara"',
        'zone = "Europe/Somewhere"',
        "zone = 'Europe/Somewhere': is not a time zone",
    ),
    ('zone = "Europe/Samara"', 'zone = "../../etc/passwd"', "[[point]] p-1: zone"),
    ('code = "p-2"', 'code = "p-1"', "[[point]] p-1: code = 'p-1': two points have this code"),
    ('code = "p-3"', 'code = "p-3"\nofficial_code = "631234567890"', "point p-1 has it too"),
    ('code = "p-3"', "code = 3", "[[point]] 3: code = 3: write it as a text"),
    (
        'point = "p-1"\nmeter',
        'point = "p-9"\nmeter',
        "10000001 at p-9: point = 'p-9': is neither in",
    ),
    (
        'meter = "0042"',
        'meter = "0043"',
        "0043 at p-2: meter = '0043': is neither in",
    ),
    ("since = 2024-03-01", "since = 2024-03-01T00:00:00", "0042 at p-2: since = 2024-03-01 00:00:00: write a date"),
    ("since = 2024-03-01", 'since = "2024-03-01"', "0042 at p-2: since = '2024-03-01': write a date"),
    ("since = 2024-03-01", "since = 0001-03-01", "0042 at p-2: since = 0001-03-01: check the year"),
    ("since = 2024-03-01\n", "", "0042 at p-2: since: is missing"),
    ("until = 2026-02-01T12:30:00+03:00", "until = 2024-02-01", "0042 at p-2: until = 2024-02-01: is not after since"),
    ("until = 2026-02-01T12:30:00+03:00\n", "", "closing reading needs until"),
    ("until = 2026-02-01T12:30:00+03:00", "until = 2026-02-02", "meter 0042 stands at point p-2 since"),
    ("ct = 40", "ct = 0", "10000001 at p-1: ct = 0: write a number above zero"),
    ("ct = 40", "ct = [40]", "10000001 at p-1: ct = [40]: write an exact number"),
    ('vt = "1.5"', 'vt = "inf"', "10000001 at p-1: vt = 'inf': write an exact number"),
    ('{"1.8.0" = "0.25"}', '{"1.8.0" = "-1"}', "opening = {1.8.0 = '-1'}: a register shows"),
    ('{"1.8.0" = "0.25"}', '{"1.8.0" = "0.12345678"}', "a register shows at most 12 digits and 6 decimals"),
    ('{"1.8.0" = "0.25"}', '{"1.8.0" = "1234567"}', "register 1.8.0 has 6 digits before the point"),
    ('{"1.8.0" = "0.25"}', '{"1.8.9" = "1"}', "meter 10000001 has no register 1.8.9; it has 1.8.0, 2.8.0"),
    ('{"1.8.0" = "0.25"}', '{"energy" = "1"}', "is not an OBIS code"),
    ('{"1.8.0" = "0.25"}', "0.25", "opening = 0.25: write values by channel"),
    (
        'consumer = "ivanova"\npoint = "p-1"',
        'consumer = "ivanova"\npoint = "p-8"',
        "ivanova at p-8: point = 'p-8'",
    ),
    ('consumer = "petrov"', "consumer = 7", "[[contract]] 7 at p-2: consumer = 7: write it as a text"),
    ("until = 2026-03-01", "until = 2024-03-01", "[[contract]] petrov at p-2: until = 2024-03-01: is not after since"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
def test_every_mistake_names_entry_field_value_and_remedy(right: str, wrong: str, said: str) -> None:
    assert right in STREET
    found = mistakes(STREET.replace(right, wrong, 1))
    assert any(said in mistake for mistake in found), found
    assert all(mistake.startswith("line ") or "table is unknown" in mistake for mistake in found)


def test_the_street_itself_is_right() -> None:
    assert len(read_fleet(STREET, MODELS, NOTHING).installations) == 3


def test_all_mistakes_are_reported_together_with_their_lines() -> None:
    wrong = (
        STREET.replace("address = 5", "address = 500").replace("Europe/Samara", "Samara").replace("ct = 40", "ct = -1")
    )
    found = mistakes(wrong)
    assert len(found) == 3
    lines = wrong.splitlines()
    for mistake, table in zip(found, ("[[point]]", "[[meter]]", "[[installation]]"), strict=True):
        number = int(mistake.removeprefix("line ").partition(":")[0])
        assert lines[number - 1] == table
        assert f": {table}" in mistake


def test_one_mistake_is_not_repeated_by_what_refers_to_it() -> None:
    assert len(mistakes(STREET.replace('zone = "Europe/Samara"', 'zone = "Samara"'))) == 1
    assert len(mistakes(STREET.replace('kind = "modbus-tcp"', 'kind = "smoke"'))) == 1
    assert len(mistakes(STREET.replace('model = "CE-27"', "model = 27"))) == 1


def test_two_lines_on_one_wire() -> None:
    twice = STREET + '[[line]]\nname = "again"\nkind = "modbus-tcp"\naddress = "10.0.0.7:502"\n'
    assert "line 'tp-101' has it too; one wire is one line" in mistakes(twice)[0]


def test_two_meters_at_one_bus_address() -> None:
    twice = STREET + '[[meter]]\nserial = "X"\nmodel = "sdm120"\nline = "tp-101"\naddress = "5"\n'
    assert "[[meter]] X: address = '5': meter 10000001 has it on line 'tp-101' too" in mistakes(twice)[0]


def test_a_meter_at_two_points_at_once() -> None:
    twice = STREET + '[[installation]]\npoint = "p-3"\nmeter = "10000001"\nsince = 2026-06-01\n'
    assert "meter 10000001 stands at point p-1 since 2026-01-14T20:00:00+00:00" in mistakes(twice)[0]


def test_a_model_nobody_knows_needs_its_registers() -> None:
    assert "known are m206, sdm120; or describe its registers" in mistakes('[[meter]]\nserial = "1"\nmodel = "x"\n')[0]
    assert "describe at least one" in mistakes('[[meter]]\nserial = "1"\nmodel = "x"\nregisters = []\n')[0]


def test_two_contracts_of_one_consumer_at_one_time() -> None:
    twice = STREET + '[[contract]]\nconsumer = "ivanova"\npoint = "p-1"\nsince = 2026-08-01\n'
    assert "this consumer has another contract" in mistakes(twice)[0]


@pytest.mark.parametrize("text", ["[[point", "code = ", "a = 1\na = 2", "\0", "[" * 5000])
def test_what_is_not_toml_says_so(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"not TOML|unknown"):
        read_fleet(text, MODELS, NOTHING)


@pytest.mark.parametrize("text", ["point = 1", "point = [1]", "[point]\ncode = 'p'"])
def test_a_table_written_in_another_way(text: str) -> None:
    assert any("write tables under [[point]]" in mistake for mistake in mistakes(text))


def test_dates_are_midnight_in_the_zone_of_the_point() -> None:
    document = """
    [[point]]
    code = "v"
    zone = "Europe/Volgograd"
    [[meter]]
    serial = "1"
    model = "sdm120"
    [[installation]]
    point = "v"
    meter = "1"
    since = 2018-10-28
    until = 2020-12-27T02:00:00+04:00
    """
    installation = read_fleet(document, MODELS, NOTHING).installations[0]
    assert installation.since == datetime(2018, 10, 27, 21, tzinfo=UTC)  # still UTC+3 at that midnight
    assert installation.until == datetime(2020, 12, 26, 22, tzinfo=UTC)


def test_numbers_stay_exact() -> None:
    exact = STREET.replace('"0.25"', "999999.999999").replace("ct = 40", "ct = 33.333333333333333333")
    installation = read_fleet(exact, MODELS, NOTHING).installations[0]
    assert installation.opening == {"1.8.0": Decimal("999999.999999")}
    assert read_fleet(exact, MODELS, NOTHING).installations[1].opening == {"1.8.0": Decimal(0)}
    assert installation.ct == Decimal("33.333333333333333333")


# Names as people write them: anything that prints, without spaces around it.
_names = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and text.isprintable()
)
_labels = _names | st.just("")
_numbers = st.decimals(0, 99999, places=6, allow_nan=False, allow_infinity=False)
_ratios = st.decimals("0.01", 9999, places=2)
_zones = st.sampled_from(
    ["Europe/Moscow", "Europe/Samara", "Europe/Volgograd", "Asia/Kolkata", "America/St_Johns", "UTC"]
)
_seconds = st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
_instants = _seconds | _seconds.map(lambda instant: instant.replace(minute=0, second=0))
_options = st.dictionaries(
    _names, st.integers(-9, 9) | st.booleans() | _names | st.lists(_names, max_size=2) | st.floats(0, 9), max_size=3
)
_specs = st.builds(
    RegisterSpec,
    st.sampled_from(["1.8.0", "1.8.1", "2.8.0", "32.7.0"]),
    st.none() | st.integers(5, 12),
    st.integers(0, 6),
    st.none() | st.decimals("0.1", 999, places=3),
)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """A right fleet: every reference resolved, nothing twice."""
    lines = [
        Line(name, "rtu-over-tcp", f"host-{number}:{502 + number}", draw(_options))
        for number, name in enumerate(draw(st.lists(_names, unique=True, max_size=3)))
    ]
    points = [
        MeteringPoint(
            code, draw(_names | st.just("")), draw(_names | st.just("")), draw(_zones), draw(_names), official
        )
        for code, official in draw(
            st.lists(
                st.tuples(_names, st.none() | _names),
                min_size=1,
                max_size=3,
                unique_by=(lambda pair: pair[0], lambda pair: pair[1] or pair[0]),
            )
        )
    ]
    meters = []
    for number, serial in enumerate(draw(st.lists(_names, min_size=1, max_size=4, unique=True))):
        road = draw(st.sampled_from(["line", "gateway", "people"]))
        line = draw(st.sampled_from(lines)).name if road == "line" and lines else None
        gateway = draw(_names) if road == "gateway" else None
        period = timedelta(seconds=draw(st.integers(1, 31 * 86400)))
        verified = draw(st.none() | st.dates(date(1950, 1, 1), date(2199, 12, 31)))
        address = str(number + 1) if line else None
        meter = Meter(serial, draw(_names), line, address, gateway, period, verified_until=verified)
        specs = draw(st.lists(_specs, min_size=1, unique_by=lambda spec: spec.channel))
        meters.append(FleetMeter(meter, {spec.channel: spec for spec in specs}))
    installations = []
    for point, known in zip(points, meters, strict=False):
        first, last = sorted(draw(st.lists(_instants, min_size=2, max_size=2, unique=True)))
        until = draw(st.sampled_from([None, last]))
        values = st.dictionaries(st.sampled_from(sorted(known.registers)), _numbers)
        closing = draw(values) if until else {}
        installations.append(
            Installation(
                point.code,
                known.meter.serial,
                first,
                until,
                draw(_ratios),
                draw(_ratios),
                draw(values),
                closing,
            )
        )
    contracts = [Contract(draw(_names), one.point, one.since, one.until) for one in installations]
    return Fleet(
        {line.name: line for line in lines},
        {point.code: point for point in points},
        {known.meter.serial: known for known in meters},
        installations,
        contracts,
    )


def _models(fleet: Fleet) -> Models:
    """A catalogue that knows every other meter's model."""
    return {known.meter.model: tuple(known.registers.values()) for known in [*fleet.meters.values()][::2]}


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_what_is_written_reads_back_the_same(fleet: Fleet) -> None:
    text = write_toml(fleet, {})
    back = read_fleet(text, {}, NOTHING)
    assert back == fleet
    assert not compare(back, fleet, pair_up(back, fleet))


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_an_export_with_a_catalogue_has_no_difference(fleet: Fleet) -> None:
    models = _models(fleet)
    back = read_fleet(write_toml(fleet, models), models, NOTHING)
    assert back.lines == fleet.lines
    assert back.installations == fleet.installations
    for serial, known in fleet.meters.items():
        # Where two meters share a model, the catalogue adds what it says of it; what is stored stays.
        assert {**back.meters[serial].registers, **known.registers} == back.meters[serial].registers
