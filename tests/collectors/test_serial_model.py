"""Model files of Меркурий and IEC meters: the shipped ones agree with their samples, mistakes are named."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from collectors.archive import Kind
from collectors.catalog import load_catalog, read_model
from collectors.model_file import BadModel
from collectors.serial_model import Archive, Ask, Reach, SerialModel, Tongue, decode, disagreements
from collectors.serial_model_file import parse_serial_model
from ingest.channel import is_counter
from ingest.errors import Misconfigured
from simulators.serial_models import SERIAL_MODELS

SHIPPED = load_catalog().serial
TODAY = date(2026, 11, 20)
GOOD = """
manufacturer = "Incotex"
name = "Меркурий 230"
source = "a manual"
protocol = "mercury-230"

[[ask]]
send = "05 00 00"
size = 16
type = "energy"
channels = ["1.8.0", "-", "3.8.0"]
scale = "0.001"
"""


def parse(text: str) -> SerialModel:
    return parse_serial_model("incotex-own.toml", text.encode())


@pytest.mark.parametrize("slug", SHIPPED)
def test_every_shipped_model_agrees_with_its_own_samples(slug: str) -> None:
    model = SHIPPED[slug]
    assert list(disagreements(model)) == []
    assert model.samples or model.readout
    for spec in model.specs:
        assert (spec.digits is not None) == is_counter(spec.channel), spec
    assert model.source


def test_the_models_the_grid_needs_are_there() -> None:
    three = {f"mercury-{name}" for name in ("203-2td", "204", "208", "230", "231", "234", "236")}
    single = {f"mercury-{name}" for name in ("200", "201", "203", "206")}
    iec = {"energomera-ce102m", "energomera-ce303", "neva-mt3xx", "iec-62056-readout"}
    assert set(SHIPPED) == three | single | iec
    assert {SHIPPED[slug].tongue for slug in three} == {Tongue.MERCURY_230}
    assert {SHIPPED[slug].tongue for slug in single} == {Tongue.MERCURY_206}
    assert "1.8.0" not in {spec.channel for slug in single for spec in SHIPPED[slug].specs}


def test_a_sample_that_disagrees_is_told() -> None:
    text = (
        GOOD
        + '\n[[sample]]\nsend = "05 00 00"\nreply = "'
        + "30 00 28 C5 " * 4
        + '"\nchannel = "1.8.0"\nexpected = "1"'
    )
    assert "decodes to 3196.200, not to 1" in next(disagreements(parse(text)))


def test_places_of_channels_and_skipped_ones() -> None:
    model = parse(GOOD)
    (ask,) = model.asks
    assert [(item.channel, item.at) for item in ask.items] == [("1.8.0", 0), ("3.8.0", 8)]
    reply = bytes.fromhex("30 00 28 C5 FF FF FF FF 04 00 9C 95 FF FF FF FF")
    values = [value for _, value in decode(model.tongue, ask, reply)]
    assert values == [Decimal("3196.200"), Decimal("300.444")]


def test_tariffs_repeat_a_table() -> None:
    model = parse(
        GOOD.replace('"05 00 00"', '"05 00 {tariff}"\ntariffs = 3').replace('"1.8.0", "-", "3.8.0"', '"1.8.{n}"')
    )
    assert [ask.send for ask in model.asks] == ["05 00 00", "05 00 01", "05 00 02"]
    assert [spec.channel for spec in model.specs] == ["1.8.0", "1.8.1", "1.8.2"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('send = "05 00 0"', r"incotex-own.toml:8: \[ask 1\] send = '05 00 0': write it like '05 00 00'"),
        ('send = "05 00 {day}"', "send"),
        ("size = 4", r"size = 4: leave room for 3.8.0: 12 bytes"),
        ('type = "float"', r"type = 'float': write one of energy"),
        ('channels = ["1.9.0"]', "has no known unit"),
        ('channels = ["1.8.0", "1.8.0"]', "describe a channel once"),
        ('scale = "0"', "other than 0"),
        ("speed = 1", "this key is unknown"),
    ],
)
def test_mistakes_are_named_with_their_remedy(wrong: str, told: str) -> None:
    key = wrong.split(" =")[0]
    lines = [wrong if line.startswith(f"{key} =") else line for line in GOOD.splitlines()]
    text = "\n".join(lines if wrong in lines else [*lines, wrong])
    with pytest.raises(BadModel, match=told):
        parse(text)


def test_archives_of_registers_nobody_asks_for_and_foreign_profiles() -> None:
    archive = (
        '\n[[archive]]\nkind = "day"\ndepth = 1\nsend = "05 C0 00"\nsize = 16\ntype = "energy"\nchannels = ["2.8.0"]'
    )
    with pytest.raises(BadModel, match=r"needs an .*ask.* of its own"):
        parse(GOOD + archive)
    profile = '\n[profile]\nrecords = 10\nchannels = ["1.8.0"]'
    assert parse(GOOD + profile).profile is not None
    with pytest.raises(BadModel, match="mercury-230 protocol only"):
        parse(GOOD.replace("mercury-230", "mercury-206") + profile)


def test_a_file_is_read_by_the_protocol_it_names() -> None:
    assert isinstance(read_model("incotex-own.toml", GOOD.encode()), SerialModel)
    with pytest.raises(BadModel, match="protocol"):
        read_model("incotex-own.toml", GOOD.replace("mercury-230", "mercury").encode())
    with pytest.raises(BadModel):
        read_model("incotex-own.toml", b"\xff")


def test_a_serial_model_is_not_polled_as_modbus() -> None:
    catalog = load_catalog()
    with pytest.raises(Misconfigured, match="speaks mercury-230, not Modbus"):
        catalog.model("mercury-230")
    with pytest.raises(Misconfigured, match="did you mean 'mercury-2"):
        catalog.serial_model("mercury-999")
    assert catalog.serial_model("abb-b23") is None
    assert {"abb-b23", "mercury-206"} <= set(catalog.specs())


def archive(kind: Kind, reach: Reach, send: str, depth: int, ends: bool = False) -> Archive:
    return Archive(kind, reach, Ask(send, 0, ()), depth, ends)


@pytest.mark.parametrize(
    ("one", "day", "sent"),
    [
        (archive(Kind.DAY, Reach.DATE, "{day} {month} {year}", 123), date(2026, 7, 21), "21 07 26"),
        (archive(Kind.DAY, Reach.DATE, "{day} {month} {year}", 123), date(2026, 7, 20), None),
        (archive(Kind.DAY, Reach.DATE, "{day} {month} {year}", 123), date(2026, 11, 21), None),
        (archive(Kind.DAY, Reach.TODAY, "C0", 1), TODAY, "C0"),
        (archive(Kind.DAY, Reach.TODAY, "C0", 1), date(2026, 11, 19), None),
        (archive(Kind.DAY, Reach.YESTERDAY, "D0", 2), date(2026, 11, 19), "D0"),
        (archive(Kind.MONTH, Reach.MONTH, "B{monthx}", 12), date(2025, 12, 1), "BC"),
        (archive(Kind.MONTH, Reach.MONTH, "B{monthx}", 12), date(2025, 11, 1), None),
        (archive(Kind.MONTH, Reach.MONTH, "{month0}", 12), date(2026, 11, 1), "0A"),
        (archive(Kind.MONTH, Reach.MONTH, "{month0}", 12), date(2026, 11, 2), None),
        (archive(Kind.MONTH, Reach.DATE, "{month}.{year}", 12, ends=True), date(2026, 11, 1), "10.26"),
        (archive(Kind.MONTH, Reach.DATE, "{month}.{year}", 36, ends=True), date(2026, 1, 1), "12.25"),
        (archive(Kind.DAY, Reach.DATE, "{day}.{month}.{year}", 44, ends=True), TODAY, "19.11.26"),
    ],
)
def test_what_an_archive_is_asked(one: Archive, day: date, sent: str | None) -> None:
    assert one.question(day, TODAY) == sent


def test_answers_by_date_have_their_proof() -> None:
    model = SHIPPED["mercury-234"]
    first = {kind: next(one for one in model.archives if one.kind is kind) for kind in (Kind.DAY, Kind.MONTH)}
    assert first[Kind.DAY].proven_by(TODAY) == ("18 00 20 11 26 00", "05 C0 00")
    assert first[Kind.MONTH].proven_by(TODAY) == ("18 01 01 11 26 00", "05 BB 00")
    assert SHIPPED["mercury-230"].archives[0].proven_by(TODAY) is None


@pytest.mark.parametrize("slug", list(SHIPPED))
def test_what_is_not_read_of_a_memory_is_told(slug: str) -> None:
    model, told = SHIPPED[slug], " ".join(SHIPPED[slug].unsupported)
    assert bool(model.depth.days and model.depth.months) or "registers as of 00:00" in told
    assert model.profile is not None or "load profile" in told or "half-hours" in told
    assert slug not in ("mercury-234", "mercury-236") or "4096 records" in told


def test_every_model_is_simulated_but_the_one_that_only_prints() -> None:
    assert set(SERIAL_MODELS) == set(SHIPPED) - {"iec-62056-readout"}
