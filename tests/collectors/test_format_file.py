"""Format files of a field engineer: what they may say, and every mistake in them named with its remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collectors.format_cli import app
from collectors.format_file import BadFormat, parse_format
from collectors.formats_in_use import Formats, load_formats, presets, read_folder
from collectors.payload import Message
from ingest.errors import Misconfigured

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

GOOD = """
about = "ours"
source = "our bench"
topics = ["site/{device}/power"]
payload = "json"

[serials]
"plug 1" = "12345678"

[time]
paths = ["t"]
clock = "seconds"

[[field]]
path = 'a."b c"'
channel = "1.8.0"
unit = "MWh"
scale = "0.1"
"""


def formats(text: str) -> Formats:
    return Formats([parse_format("ours.toml", text.encode())])


def read(text: str, payload: bytes, topic: str = "site/plug 1/power", *, retained: bool = False) -> list[str]:
    parsed, _ = formats(text).read(Message(topic, payload, NOW, retained))
    return [f"{r.meter} {r.channel} {r.value:f} {r.taken_at:%H:%M:%S}" for r in parsed.readings] + [
        reject.reason for reject in parsed.rejects
    ]


def test_units_scales_serials_and_quoted_names() -> None:
    assert read(GOOD, b'{"a":{"b c":"1.5"},"t":1795176000}') == ["12345678 1.8.0 150.00 12:00:00"]


def test_the_gateway_of_a_format_is_its_name_unless_it_says_otherwise() -> None:
    message = Message("site/x/power", b"{}", NOW)
    assert formats(GOOD).read(message)[1] == "ours"
    assert formats(GOOD.replace("payload =", 'gateway = "g-{device}"\npayload =')).read(message)[1] == "g-x"


@pytest.mark.parametrize(
    ("clock", "written", "taken"),
    [
        ("seconds", "1795176000.25", "2026-11-20T12:00:00.250000+00:00"),
        ("milliseconds", "1795176000250", "2026-11-20T12:00:00.250000+00:00"),
        ("iso", '"2026-11-20T16:00:00+04:00"', "2026-11-20T12:00:00+00:00"),
    ],
)
def test_clocks(clock: str, written: str, taken: str) -> None:
    text = GOOD.replace('"seconds"', f'"{clock}"')
    parsed, _ = formats(text).read(Message("site/x/power", b'{"a":{"b c":1},"t":%s}' % written.encode(), NOW))
    assert parsed.readings[0].taken_at.isoformat() == taken


def test_a_naive_time_is_in_the_zone_of_the_format_and_refused_without_one() -> None:
    iso = GOOD.replace('"seconds"', '"iso"')
    payload = b'{"a":{"b c":1},"t":"2026-11-20T16:00:00"}'
    assert read(iso, payload) == ["bad_time"]
    assert read(iso.replace('clock = "iso"', 'clock = "iso"\nzone = "Europe/Samara"'), payload) == [
        "12345678 1.8.0 100.0 12:00:00"
    ]


@pytest.mark.parametrize(
    ("policy", "timed", "untimed"),
    [("ignore", 0, 0), ("timed", 1, 0), ("take", 1, 1)],
)
def test_retained_policies(policy: str, timed: int, untimed: int) -> None:
    text = GOOD.replace("payload =", f'retained = "{policy}"\npayload =')
    assert len(read(text, b'{"a":{"b c":1},"t":1795176000}', retained=True)) == timed
    assert len(read(text, b'{"a":{"b c":1}}', retained=True)) == untimed
    assert len(read(text, b'{"a":{"b c":1}}')) == 1


def test_a_required_time_is_missed() -> None:
    text = GOOD.replace('clock = "seconds"', 'clock = "seconds"\nrequired = true')
    assert read(text, b'{"a":{"b c":1}}') == ["bad_time"]


def test_a_start_up_zero_of_a_counter_is_left_out_and_a_later_value_is_not() -> None:
    text = GOOD + 'zero = "drop"\n'
    assert read(text, b'{"a":{"b c":0.000}}') == []
    assert len(read(text, b'{"a":{"b c":0.001}}')) == 1


@pytest.mark.parametrize("value", ["true", "NaN", "1e999", "-1", '"on"', "[1]", "{}", '""', "1e12"])
def test_bad_values_of_a_mapped_field_are_refused(value: str) -> None:
    assert len(read(GOOD, b'{"a":{"b c":%s}}' % value.encode())) == 1
    assert read(GOOD, b'{"a":{"b c":%s}}' % value.encode())[0] in ("bad_value", "unknown_channel")


def test_a_list_longer_than_its_channels_is_refused_for_what_has_none() -> None:
    text = GOOD.replace('channel = "1.8.0"', 'channels = ["21.8.0", "41.8.0"]')
    assert read(text, b'{"a":{"b c":[1,2,3]},"t":1795176000}') == [
        "12345678 21.8.0 100.0 12:00:00",
        "12345678 41.8.0 200.0 12:00:00",
        "unknown_channel",
    ]


def test_an_unknown_topic_is_one_reject() -> None:
    delivery = formats(GOOD).parse(Message("other/topic", b"1", NOW))
    assert delivery.rejects[0].reason == "unknown_topic"
    assert delivery.gateway == "other/topic"


def test_a_topic_too_long_to_be_remembered_is_refused() -> None:
    delivery = load_formats().parse(Message(f"amr/v1/{'g' * 1000}/readings", b"{}", NOW))
    assert delivery.rejects[0].reason == "unknown_topic"
    assert "has 1016 characters; use at most 1000" in delivery.rejects[0].detail


def test_many_bad_values_of_a_mapped_payload_do_not_multiply_it() -> None:
    text = GOOD.replace('payload = "json"', 'payload = "json"\neach = "[]"')
    payload = b"[" + b",".join([b'{"a":{"b c":"x"}}'] * 5000) + b"]"
    parsed, _ = formats(text).read(Message("site/x/power", payload, NOW))
    [reject] = parsed.rejects
    assert reject.raw == payload
    assert "5000" in reject.detail


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ('payload = "json"', 'payload = "xml"', "payload", "write one of"),
        ('payload = "json"', "", "payload", "is missing"),
        ('payload = "json"', 'payload = "json"\nretaind = "take"', "retaind", "retained"),
        ('about = "ours"', "", "about", "is missing"),
        ('"site/{device}/power"', '"site/x{device}/power"', "topics", "whole level"),
        ('"site/{device}/power"', '"site/#"', "topics", "must be a word"),
        ('channel = "1.8.0"', 'channel = "1.8"', "channel", "OBIS"),
        ('channel = "1.8.0"', "", "channel", "is missing"),
        ('unit = "MWh"', 'unit = "kvarh"', "unit", "counted in kWh"),
        ('unit = "MWh"', "", "unit", "is missing"),
        ('scale = "0.1"', "scale = 0.1", "scale", "quotation marks"),
        ('scale = "0.1"', 'zero = "skip"', "zero", "write one of"),
        ('clock = "seconds"', 'clock = "sundial"', "clock", "write one of"),
        ('clock = "seconds"', 'zone = "Mars/Olympus"', "zone", "Europe/Samara"),
        ("path = 'a.\"b c\"'", 'path = "a..b"', "path", "cannot be read"),
        ("path = 'a.\"b c\"'", 'path = "a[]"', "path", "each"),
        ("path = 'a.\"b c\"'", "", "path", "is missing"),
        ('about = "ours"', 'about = "ours"\nextends = "nothing"', "extends", "wiren-board"),
        ('about = "ours"', "about = ours", "content", "valid TOML"),
    ],
)
def test_every_mistake_is_named_with_its_remedy(old: str, new: str, field: str, remedy: str) -> None:
    assert old in GOOD
    with pytest.raises(BadFormat) as caught:
        parse_format("ours.toml", GOOD.replace(old, new).encode(), {"wiren-board": {}})
    [mistake] = caught.value.mistakes
    assert mistake.field == field
    assert remedy in str(mistake)
    assert "ours.toml" in str(mistake)


def test_all_mistakes_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("payload = 1")
    (tmp_path / "two.toml").write_text("nothing")
    with pytest.raises(Misconfigured, match=r"(?s)one\.toml.*two\.toml"):
        read_folder(tmp_path)


def test_a_folder_extends_a_preset_and_comes_before_the_presets(tmp_path: Path) -> None:
    (tmp_path / "our-plugs.toml").write_text(
        'extends = "tasmota"\nabout = "plugs of block 7"\n[time]\npaths = ["Time"]\nzone = "Europe/Samara"\n'
        '[serials]\n"plug-7" = "48151623"\n[[field]]\npath = "ENERGY.Own"\nchannel = "3.8.0"\nunit = "kvarh"\n'
    )
    chosen = load_formats(["own-json", "tasmota"], tmp_path)
    assert [one.name for one in chosen.formats] == ["our-plugs", "own-json", "tasmota"]
    payload = b'{"Time":"2023-02-05T20:31:48","ENERGY":{"Total":6.5,"Own":7}}'
    delivery = chosen.parse(Message("tele/plug-7/SENSOR", payload, NOW))
    assert [(r.meter, r.channel, r.value, r.taken_at.hour) for r in delivery.readings] == [
        ("48151623", "3.8.0", Decimal(7), 16),
        ("48151623", "1.8.0", Decimal("6.5"), 16),
    ]
    assert delivery.gateway == "tasmota"


def test_a_file_named_like_a_preset_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "tasmota.toml").write_text(GOOD)
    chosen = load_formats(["own-json", "tasmota"], tmp_path)
    assert [topic for one in chosen.formats for topic in (one.topics[0].text,)] == [
        "site/{device}/power",
        "amr/v1/{gateway}/readings",
    ]


def test_an_unknown_preset_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"'tasmoto' is unknown.*tasmota"):
        load_formats(["tasmoto"])
    with pytest.raises(Misconfigured, match="is not a folder"):
        load_formats([], tmp_path / "nothing")


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "300"})
    return result.exit_code, result.output


def test_list_and_show_name_every_preset() -> None:
    _, output = run("list")
    for name in presets():
        assert name in output
        code, shown = run("show", name)
        assert code == 0
        assert "QoS" in shown


def test_try_tells_what_is_stored_and_why_the_rest_is_not(tmp_path: Path) -> None:
    payload = '{"Time":"2023-02-05T20:31:48Z","ENERGY":{"Total":6.5,"Power":"much"}}'
    code, output = run("try", "tasmota", "tele/plug-7/SENSOR", payload)
    assert code == 0
    assert "plug-7  1.8.0  6.5 kWh  at 2023-02-05T20:31:48+00:00" in output
    assert "bad_value: ENERGY.Power 'much' is not a number" in output
    file = tmp_path / "payload.bin"
    file.write_bytes(b"\xff")
    code, output = run("try", "zigbee2mqtt", "zigbee2mqtt/x", f"@{file}")
    assert code == 1
    assert "not UTF-8" in output
    code, output = run("try", "wiren-board", "/devices/x/controls/Urms", "230", "--retained")
    assert code == 1
    assert "ignored" in output


def test_check_compares_samples_and_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    assert run("check", "sparkplug-b")[0] == 0
    file = tmp_path / "ours.toml"
    sample = (
        '[[sample]]\ntopic = "site/x/power"\npayload = \'{"a":{"b c":1},"t":1795176000}\'\nreadings = ["x 1.8.0 %s"]'
    )
    file.write_text(GOOD + sample % "100.0 2026-11-20T12:00:00Z")
    assert run("check", str(file)) == (0, "1 of 1 samples are read as they must be\n")
    file.write_text(GOOD + sample % "1 2026-11-20T12:00:00Z")
    code, output = run("check", str(file))
    assert code == 1
    assert "0 of 1" in output
    file.write_text("about = 1")
    code, output = run("check", str(file))
    assert code == 1
    assert "about" in output
