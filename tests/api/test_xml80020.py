"""80020 XML without a database: what is written is what is read, and what real files look like."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from defusedxml.ElementTree import fromstring

from api import xml80020, xml80020_files, xml80020_reader
from api.xml80020 import CLOSING, Message, Party, Point, Profile, Value, encoded, half_hours, opening, point_xml, whole
from api.xml80020_files import xml_files
from api.xml80020_reader import BadRow, read
from api.xml80020_times import Interval, intervals
from ingest.errors import Malformed

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 3, 10)


def message(day: date = DAY, zone: ZoneInfo = MOSCOW) -> Message:
    made = datetime(2026, 3, 11, 6, 5, 4, tzinfo=UTC)
    return Message(day, zone, Party("7703311228", "Сетевая компания «Юг»"), Party("600004", "Район"), 7, made)


def written(about: Message, *points: Point) -> bytes:
    return b"".join(encoded(one) for one in (opening(about), *(point_xml(about, point) for point in points), CLOSING))


def profile(values: list[str | None], carried: str = "0") -> Profile:
    return Profile(
        "01", Decimal(carried), [Value(None if one is None else Decimal(one), one is not None) for one in values]
    )


def placed(raw: bytes, zone: ZoneInfo = MOSCOW) -> list[Interval | BadRow]:
    found = read(raw)
    return [*found.bad, *intervals(found.day, found.periods, zone)]


def test_what_rounding_leaves_is_carried_on() -> None:
    assert whole(profile(["0.4"] * 5)) == [0, 1, 0, 1, 0]
    assert whole(profile(["0.4"] * 5, carried="0.4")) == [1, 0, 1, 0, 0]
    assert whole(profile(["0.4", None, "0.4"])) == [0, None, 1]
    assert whole(profile(["1000000.6", "0.6"])) == [1000001, 0]


def test_the_days_of_a_month_add_up_to_it() -> None:
    energies = [Decimal(number * 7919 % 1000).scaleb(-3) for number in range(48 * 31)]
    told, carried = 0, Decimal(0)
    for day in range(31):
        of_day = energies[48 * day : 48 * (day + 1)]
        numbers = whole(Profile("01", carried, [Value(energy, True) for energy in of_day]))
        assert all(number is not None for number in numbers)
        assert min(filter(None, numbers), default=0) >= 0
        told += sum(number for number in numbers if number is not None)
        assert abs(sum(filter(None, numbers)) - sum(of_day, Decimal(0))) <= 1
        carried += sum(of_day, Decimal(0))
    assert told == round(sum(energies, Decimal(0)))


def test_a_day_is_written_as_others_read_it() -> None:
    raw = written(message(), Point("34-1", 'ПС "Юг" <1>', [profile(["1"] * 47 + [None])]))
    assert raw.startswith(b'<?xml version="1.0" encoding="windows-1251"?>')
    assert "Сетевая компания «Юг»".encode("cp1251") in raw
    root = fromstring(raw)
    assert root.attrib == {"class": "80020", "version": "2", "number": "7"}
    assert root.findtext("datetime/timestamp") == "20260311090504"
    assert (root.findtext("datetime/day"), root.findtext("datetime/daylightsavingtime")) == ("20260310", "0")
    assert (root.findtext("sender/inn"), root.findtext("area/name")) == ("7703311228", "Район")
    point = root.find("area/measuringpoint")
    assert point is not None
    assert point.attrib == {"code": "34-1", "name": 'ПС "Юг" <1>'}
    periods = point.findall("measuringchannel/period")
    assert len(periods) == 48
    assert [(one.get("start"), one.get("end")) for one in (periods[0], periods[-1])] == [
        ("0000", "0030"),
        ("2330", "0000"),
    ]
    values = [one.find("value") for one in periods]
    assert [(one.get("status"), one.text) for one in (values[0], values[-1]) if one is not None] == [
        ("0", "1"),
        ("1", None),
    ]


def test_letters_that_the_encoding_has_not_survive() -> None:
    raw = written(message(), Point("x", "Ґудзик 李", [profile(["1"] * 48)]))
    point = fromstring(raw).find("area/measuringpoint")
    assert point is not None
    assert point.get("name") == "Ґудзик 李"


@pytest.mark.parametrize(
    ("day", "periods", "daylight"),
    [
        (date(2026, 3, 29), 46, "2"),
        (date(2026, 10, 25), 50, "2"),
        (date(2026, 7, 1), 48, "1"),
        (date(2026, 1, 1), 48, "0"),
    ],
)
def test_days_on_which_the_clock_changes_are_read_back_whole(day: date, periods: int, daylight: str) -> None:
    cuts = half_hours(day, BERLIN)
    raw = written(message(day, BERLIN), Point("p", "", [profile([str(number) for number in range(periods)])]))
    assert fromstring(raw).findtext("datetime/daylightsavingtime") == daylight
    for text in (raw, raw.replace(b' summer="1"', b"").replace(b' summer="0"', b"")):
        found = placed(text, BERLIN)
        assert [one.start for one in found if isinstance(one, Interval)] == cuts[:-1]
        assert {one.length for one in found if isinstance(one, Interval)} == {timedelta(minutes=30)}
        assert [one.energy for one in found if isinstance(one, Interval)] == list(range(periods))


def test_a_skipped_hour_is_named() -> None:
    raw = FIELD.format(day="20260329", rows='<period start="0200" end="0230"><value>1</value></period>').encode()
    [bad] = placed(raw, BERLIN)
    assert isinstance(bad, BadRow)
    assert "skipped" in bad.detail


FIELD = """<Message Class="80020" VERSION="2" number="5"><DateTime><day>{day}</day></DateTime>
<Sender><INN>600004</INN><Name>РДУ</Name></Sender><area><inn>1</inn>
<deliverygroup code="G"><period start="0000" end="0100"><value>5</value></period></deliverygroup>
<MeasuringPoint code="34-1" name="п"><measuringchannel code="1" desc="">{rows}</measuringchannel></MeasuringPoint>
</area></Message>"""


def field(rows: str) -> bytes:
    return FIELD.format(day="20260310", rows=rows).encode("cp1251")


def test_files_of_the_field_are_understood() -> None:
    rows = (
        '<period start="0000" end="0030"><value status="0">12,5</value></period>'
        '<Period Start="00:30" End="01:00"><Value>1 012</Value></Period>'
        '<period start="0100" end="0130"><value status="1">3</value></period>'
        '<period start="0130" end="0200"><value status="1"></value></period>'
        '<period start="0200" end="0230"/>'
        '<period start="2330" end="2400"><value>0</value></period>'
    )
    found = read(field(rows))
    assert (found.sender, found.sender_name, found.number, found.day) == ("600004", "РДУ", "5", DAY)
    assert not found.bad
    assert [(one.energy, one.settled) for one in found.periods] == [
        (Decimal("12.5"), True),
        (Decimal("1012"), True),
        (Decimal(3), False),
        (None, False),
        (None, True),
        (Decimal(0), True),
    ]
    assert {one.channel for one in found.periods} == {"1.8.0"}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('<period start="0000" end="0030"><value>-5</value></period>', "'-5'"),
        ('<period start="0000" end="0030"><value>1e400</value></period>', "1e400"),
        ('<period start="0000" end="0030"><value>NaN</value></period>', "NaN"),
        ('<period start="2500" end="0030"><value>5</value></period>', "HHMM"),
        ('<period start="0000"><value>5</value></period>', "HHMM"),
        ('<period start="0000" end="0600"><value>5</value></period>', "an hour"),
        ('<period start="0030" end="0030"><value>5</value></period>', "an hour"),
    ],
)
def test_a_bad_row_is_named_and_the_others_stay(row: str, told: str) -> None:
    good = '<period start="1200" end="1230"><value>7</value></period>'
    found = placed(field(row + good))
    bad = [one for one in found if isinstance(one, BadRow)]
    assert [one.energy for one in found if isinstance(one, Interval)] == [7]
    assert len(bad) == 1
    assert told in bad[0].detail


def test_unknown_channels_are_named() -> None:
    raw = field('<period start="0000" end="0030"><value>5</value></period>').replace(b'code="1"', b'code="77"')
    [bad] = placed(raw)
    assert isinstance(bad, BadRow)
    assert "'77'" in bad.detail


def test_a_row_told_twice_counts_once() -> None:
    row = '<period start="0000" end="0030"><value>{}</value></period>'
    assert len(placed(field(row.format(5) + row.format("5,0")))) == 1
    first, second = placed(field(row.format(5) + row.format(6)))
    assert isinstance(first, Interval)
    assert isinstance(second, BadRow)
    assert "5 and 6" in second.detail


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("declared", ["windows-1251", "UTF-8", "nonsense", None])
def test_whatever_the_file_declares_its_letters_are_right(encoding: str, declared: str | None) -> None:
    text = field('<period start="0000" end="0030"><value>5</value></period>').decode("cp1251")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else '<?xml version="1.0" ?>'
    found = read((head + text).encode(encoding))
    assert found.sender_name == "РДУ"
    assert len(found.periods) == 1


BOMB = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (BOMB.encode() + field(""), "entities"),
        (OUTSIDE.encode() + field(""), "entities"),
        (field("")[:-20], "cut off"),
        (b"", "cut off"),
        (b"\x00\x01\x02" * 50, "not well-formed"),
        (b"<html><body>404</body></html>", "class"),
        (field("").replace(b"80020", b"80040"), "80040"),
        (FIELD.format(day="20260230", rows="").encode(), "20260230"),
        (FIELD.format(day="", rows="").encode(), "YYYYMMDD"),
        (FIELD.format(day="99991231", rows="").encode(), "99991231"),
        (FIELD.format(day="00010101", rows="").encode(), "00010101"),
        (b"<message>" + b"<a>" * 100_000, "deep"),
    ],
)
def test_what_is_no_message_is_refused_whole(raw: bytes, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        read(raw)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml80020_reader, "MOST_ROWS", 3)
    row = '<period start="0000" end="0030"><value>5</value></period>'
    assert len(read(field(row * 3)).periods) == 3
    with pytest.raises(Malformed, match="3 rows"):
        read(field(row * 4))


def packed(*files: tuple[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return raw.getvalue()


def test_an_archive_is_opened_file_by_file() -> None:
    found = list(xml_files("a.zip", packed(("80020_1.xml", b"<a/>"), ("read.me", b"x"), ("b/80020_2.XML", b"<b/>"))))
    assert [(one.name, one.content) for one in found if isinstance(one.content, bytes)] == [
        ("80020_1.xml", b"<a/>"),
        ("b/80020_2.XML", b"<b/>"),
    ]
    assert [one.name for one in found if isinstance(one.content, Malformed)] == ["read.me"]


def test_a_bomb_is_read_no_further_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml80020_files, "LARGEST_FILE", 1 << 20)
    monkeypatch.setattr(xml80020_files, "LARGEST_WHOLE", 2 << 20)
    bomb = packed(("bomb.xml", bytes(50 << 20)), ("good.xml", b"<a/>"))
    assert len(bomb) < 100_000
    first, second = xml_files("a.zip", bomb)
    assert isinstance(first.content, Malformed)
    assert second.content == b"<a/>"
    many = packed(*((f"{number}.xml", bytes(1 << 20)) for number in range(3)))
    assert [isinstance(one.content, bytes) for one in xml_files("a.zip", many)] == [True, False]
    monkeypatch.setattr(xml80020_files, "MOST_FILES", 2)
    with pytest.raises(Malformed, match="3 files"):
        list(xml_files("a.zip", many))


def test_damaged_archives_are_named() -> None:
    whole_archive = packed(("a.xml", b"<a/>" * 1000))
    with pytest.raises(Malformed, match="damaged"):
        list(xml_files("a.zip", whole_archive[:-30]))
    hurt = bytearray(whole_archive)
    hurt[40] ^= 0xFF
    [file] = xml_files("a.zip", bytes(hurt))
    assert isinstance(file.content, Malformed)
    with pytest.raises(Malformed, match="larger"):
        list(xml_files("a.xml", bytes((32 << 20) + 1)))


def test_usual_numbers_grow_by_one_a_day() -> None:
    assert xml80020.usual_number(DAY) + 1 == xml80020.usual_number(date(2026, 3, 11))
    assert message().filename == "80020_7703311228_20260310_7.xml"
