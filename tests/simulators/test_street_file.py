"""The street file: what it gives, and how each mistake in it is told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.events import Drift, Exchange, Jump, Restart, Spike, Stall
from simulators.faults import Fault, Kind
from simulators.street_file import parse_street
from simulators.table import StreetFileError, duration

START = datetime(2026, 11, 20, tzinfo=UTC)
BUS = '[[line]]\nname = "bus"\nkind = "serial-over-tcp"\n'
MERCURY = '[[meter]]\nserial = "47000999"\nmodel = "mercury-234"\nline = "bus"\naddress = "5"\n'
LINE = '[[line]]\nname = "tcp"\nkind = "modbus-tcp"\n'
METER = '[[meter]]\nserial = "1"\nmodel = "abb-b23"\nline = "tcp"\nunit = 1\n'


def test_a_meter_takes_its_models_facts() -> None:
    (spec,) = parse_street(LINE + METER + 'start = "5.25"\nshares = {"3.8.0" = "0.3"}\n', START).meters
    assert (spec.meter.phases, spec.meter.resolution, spec.meter.digits) == (3, Decimal("0.01"), 8)
    assert spec.meter.start == {"1.8.0": Decimal("5.25")}
    assert spec.meter.shares == {"3.8.0": Decimal("0.3")}


def test_meters_of_other_protocols_have_addresses_and_passwords() -> None:
    single = '[[meter]]\nserial = "19531250"\nmodel = "mercury-206"\nline = "bus"\n'
    iec = '[[meter]]\nserial = "00000201"\nmodel = "neva-mt3xx"\nline = "bus"\n'
    three, one, neva = parse_street(BUS + MERCURY + 'password = "864209"\n' + single + iec, START).meters
    assert (three.bus_address, three.password, three.unit) == ("5", "864209", None)
    assert (three.meter.phases, three.meter.resolution) == (3, Decimal("0.001"))
    assert (one.bus_address, one.password, one.meter.phases) == ("19531250", None, 1)
    assert neva.bus_address == "00000201"
    assert "864209" not in repr(three)


def test_numbers_stay_exact() -> None:
    (spec,) = parse_street(LINE + METER + "scale = 0.1\n", START).meters
    assert spec.meter.scale == Decimal("0.1")


def test_events_and_faults_are_read() -> None:
    text = """
event = [
  { kind = "stall", begin = "+1h", end = "+2h" },
  { kind = "jump", at = "+3h", by = "-10.5" },
  { kind = "spike", begin = "+4h", end = "+4h1m", value = "4294967" },
  { kind = "restart", at = 2026-11-21T00:00:00+04:00 },
  { kind = "exchange", at = "+1d", serial = "9", start = "7" },
  { kind = "drift", seconds_per_day = 12 },
]
fault = [{ kind = "late", seconds = 1.5, every = 3, begin = "+10m" }]
"""
    (spec,) = parse_street(LINE + METER + text, START).meters
    hour = timedelta(hours=1)
    assert spec.meter.events == (
        Stall(START + hour, START + 2 * hour),
        Jump(START + 3 * hour, Decimal("-10.5")),
        Spike(START + 4 * hour, START + 4 * hour + timedelta(minutes=1), Decimal("4294967")),
        Restart(datetime(2026, 11, 20, 20, tzinfo=UTC)),
        Exchange(START + 24 * hour, "9", {"1.8.0": Decimal(7)}),
        Drift(START, 12.0),
    )
    assert spec.faults == (Fault(Kind.LATE, seconds=1.5, every=3, begin=START + timedelta(minutes=10)),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "is no TOML"),
        ("speed = 3", "the file: unknown key 'speed'; remove it, or write one of: line, meter"),
        (LINE + "bauds = 3", "line tcp: unknown key 'bauds'.*baud"),
        (LINE + "port = 70000", "line tcp: port is 70000; it must be: a whole number from 0 to 65535"),
        ('[[line]]\nname = "x"\nkind = "udp"', "line x: kind is 'udp'.*modbus-tcp, rtu-over-tcp, serial-over-tcp, pty"),
        (LINE + 'link = "/tmp/x"', "line tcp: link is for a pseudo-terminal"),
        (BUS.replace("serial-over-tcp", "pty-ascii") + MERCURY, "does not speak Modbus ASCII"),
        ('[[line]]\nkind = "pty"', "line 1: name is missing"),
        (LINE + LINE, "line name 'tcp' is given twice"),
        (LINE + METER + METER, "serial '1' is given twice"),
        (LINE + METER + METER.replace('"1"', '"2"'), "line and unit 'tcp 1' is given twice"),
        (METER, "meter 1: line 'tcp' is not described"),
        (LINE + METER.replace("abb-b23", "abb-x"), "meter 1: model: unknown meter model 'abb-x'; known are: abb-b23"),
        (LINE + METER.replace("unit = 1", "unit = 248"), "meter 1: unit is 248.*from 1 to 247"),
        (LINE + METER.replace("unit = 1", ""), "meter 1: unit is missing"),
        (BUS + MERCURY.replace('address = "5"', ""), "meter 47000999: address is missing"),
        (BUS + MERCURY.replace('"5"', '"241"'), "meter 47000999: address: '241' is no address; .* from 1 to 240"),
        (BUS + MERCURY.replace("47000999", "A-1"), "meter A-1: address: serial 'A-1' is no Меркурий number"),
        (BUS + MERCURY + 'password = "12345"', "the password of a Меркурий has six characters"),
        (BUS + MERCURY + "unit = 5", "meter 47000999: unknown key 'unit'"),
        (BUS + MERCURY + MERCURY.replace("47000999", "47000998"), "line and unit 'bus 5' is given twice"),
        (BUS.replace("serial-over-tcp", "modbus-tcp") + MERCURY, "does not speak Modbus TCP"),
        (MERCURY.replace('line = "bus"', 'gateway = "g"'), "this model hangs on a line"),
        (LINE + METER + 'gateway = "g"', "meter 1: give either line and unit, or gateway"),
        ('[[meter]]\nserial = "1"', "meter 1: give either"),
        (LINE + METER.replace('model = "abb-b23"', ""), "meter 1: a meter on a line needs its model"),
        (LINE + METER + 'shape = "c"', "meter 1: shape: unknown load shape 'c'; shipped are: a, b"),
        (LINE + METER + 'start = "many"', "meter 1: start is 'many'; it must be: a number"),
        (LINE + METER + "scale = nan", "meter 1: scale is .*finite"),
        (LINE + METER + "scale = -1", "meter 1: values: meter 1: scale -1 must not be negative"),
        (LINE + METER + "zones = 1", "meter 1: zones is 1; it must be: true or false"),
        (LINE + METER + 'shares = "0.3"', "meter 1: shares is '0.3'.*table of channels"),
        (LINE + METER + 'shares = {"9.8.0" = 1}', "meter 1: .*share of 9.8.0 is unknown"),
        (LINE + METER + 'event = [{kind = "fire"}]', "meter 1, event 1: kind is 'fire'"),
        (LINE + METER + 'event = [{kind = "restart", at = "soon"}]', "event 1: at is 'soon'.*2h30m"),
        (LINE + METER + 'event = [{kind = "restart", at = "+soon"}]', "event 1: at: 'soon' is no duration"),
        (LINE + METER + 'event = [{kind = "restart", at = 2026-01-01T00:00:00}]', "event 1: at is .*with offset"),
        (LINE + METER + 'event = [{kind = "stall", begin = "+2h", end = "+1h"}]', "end .* must be after begin"),
        (LINE + METER + 'event = [{kind = "restart", at = "+1h", by = 1}]', "event 1: unknown key 'by'"),
        (LINE + METER + 'fault = [{kind = "late"}]', "fault 1: fault: late takes seconds above 0 and at most 3600"),
        (LINE + METER + 'fault = "dead"', r"meter 1: fault is 'dead'.*\[\[fault\]\]"),
        ('[[meter]]\nserial="1"\ngateway="g"\nfault=[{kind="dead"}]', "meter 1: faults of the wire need a line"),
        ('[[meter]]\nserial="1"\ngateway="g"\nphases=2', "phases 2 must be 1 or 3"),
    ],
)
def test_a_mistake_is_told_with_place_value_and_remedy(text: str, complaint: str) -> None:
    with pytest.raises(StreetFileError, match=complaint):
        parse_street(text, START)


def test_durations() -> None:
    assert duration("1d2h30m5s") == timedelta(days=1, hours=2, minutes=30, seconds=5)
    assert duration("30s") == timedelta(seconds=30)
    for wrong in ("", "5", "5 m", "-5m", "1.5h"):
        with pytest.raises(ValueError, match="no duration"):
            duration(wrong)


def test_a_meter_about_to_wrap_is_described_by_its_start() -> None:
    (spec,) = parse_street(LINE + METER + 'start = "99999999.99"\nsince = "+0s"\n', START).meters
    assert spec.meter.values(START)["1.8.0"] == Decimal("99999999.99")
    assert spec.meter.values(START + timedelta(days=1))["1.8.0"] < 100
