"""Own JSON: every good reading kept exactly, every bad element refused with field, value and remedy, never a crash."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.formats_in_use import load_formats
from collectors.payload import LARGEST_PAYLOAD, MOST_REJECTS, Message, Parsed, read_own
from ingest.channel import to_micro
from ingest.model import Reading

GOOD = '{"meter":"100","channel":"1.8.0","at":"2026-11-20T00:00:00+04:00","value":"12345.678"}'
AT = datetime(2026, 11, 19, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
parse = load_formats().parse


def parsed(*elements: str) -> Parsed:
    return read_own(b'{"readings":[%s]}' % ",".join(elements).encode())


def changed(**fields: str | None) -> str:
    """The good element with fields as JSON text put in, or taken out when None."""
    element = {"meter": '"100"', "channel": '"1.8.0"', "at": '"2026-11-20T00:00:00+04:00"', "value": '"1"', **fields}
    return "{" + ",".join(f'"{name}":{text}' for name, text in element.items() if text is not None) + "}"


def test_one_reading_is_read_whole() -> None:
    result = parsed(GOOD)
    assert result.readings == [Reading("100", "1.8.0", AT, Decimal("12345.678"))]
    assert result.readings[0].taken_at.tzinfo is UTC
    assert not result.rejects


@pytest.mark.parametrize("text", ["0.1", "12345.678", "167772.16", "9007199254.740993", "1e3", "0.30000000000000004"])
def test_numbers_and_texts_are_taken_digit_by_digit(text: str) -> None:
    for written in (text, f'"{text}"'):
        assert parsed(changed(value=written)).readings[0].value == Decimal(text)


@pytest.mark.parametrize(
    "twice",
    [
        GOOD[:-1] + ',"value":"7"}',
        GOOD[:-1] + ',"v\\u0061lue":"12345.678"}',
        GOOD[:-1] + ',"captured":"2026-11-20T00:00:00Z","captured":"2026-11-20T00:00:00Z"}',
    ],
)
def test_of_a_field_given_twice_nobody_knows_which_is_meant(twice: str) -> None:
    message = f'{{"readings":[{GOOD},{twice},{GOOD}]}}'.encode()
    result = read_own(message)
    assert [reading.value for reading in result.readings] == [Decimal("12345.678")] * 2
    [reject] = result.rejects
    assert (reject.reason, reject.raw) == ("malformed", message)
    assert "given twice in one object; send every name once" in reject.detail


@pytest.mark.parametrize("name", ["readings", "contacts", "id"])
def test_of_a_list_given_twice_none_is_dropped_in_silence(name: str) -> None:
    contact = '{"meter":"100","at":"2026-11-20T00:00:00Z"}'
    part = {"readings": f"[{GOOD}]", "contacts": f"[{contact}]", "id": '"a"'}
    whole = ",".join(f'"{one}":{text}' for one, text in part.items())
    result = read_own(f'{{{whole},"{name}":{part[name]}}}'.encode())
    assert [reject.detail for reject in result.rejects] == [
        f"'{name}' is given twice in one object; send every name once"
    ]
    assert not result.readings


def test_a_contact_with_a_field_given_twice_is_refused_alone() -> None:
    contact = '{"meter":"100","at":"2026-11-20T00:00:00Z"%s}'
    contacts = ",".join(contact % more for more in ("", ',"meter":"101"', ""))
    result = read_own(f'{{"readings":[{GOOD}],"contacts":[{contacts}]}}'.encode())
    assert (len(result.readings), len(result.contacts), len(result.rejects)) == (1, 2, 1)


def test_thousands_of_unknown_fields_are_one_refusal_and_cost_no_reading() -> None:
    strange = ",".join(f'"field {number}":{number}' for number in range(5000))
    result = read_own(f'{{"readings":[{GOOD}],{strange}}}'.encode())
    assert len(result.readings) == 1
    [reject] = result.rejects
    assert reject.detail.startswith("'field 0' = 0 is not a field of this format; drop it (4999 more")


@pytest.mark.parametrize("opens", ["[", '{"a":'])
def test_whatever_is_nested_as_deep_as_can_be_read_costs_no_reading_beside_it(opens: str) -> None:
    """What was read may still be too deep to be shown or written again."""
    closes = "]" if opens == "[" else "}"
    read = 0
    for depth in range(900, 1001):
        deep = opens * depth + "1" + closes * depth
        for beside in (f'"contacts":[{deep}]', f'"id":{deep}', f'"rejects":[{{"reason":{deep},"detail":"x"}}]'):
            result = read_own(f'{{"readings":[{GOOD}],{beside}}}'.encode())
            assert len(result.rejects) == 1, depth
            read += len(result.readings)
    assert read > 30


def test_captured_is_the_senders_clock_beside_the_meters() -> None:
    [reading] = parsed(changed(captured='"2026-11-20T00:00:07+04:00"')).readings
    assert reading.captured_at == datetime(2026, 11, 19, 20, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("channel", ["32.7.0", "13.7.0", "1.7.0"])
def test_momentary_values_may_be_negative(channel: str) -> None:
    assert parsed(changed(channel=f'"{channel}"', value="-1.5")).readings[0].value == Decimal("-1.5")


BAD = [
    ("value", "NaN", "bad_value"),
    ("value", "Infinity", "bad_value"),
    ("value", "-Infinity", "bad_value"),
    ("value", "1e400", "bad_value"),
    ("value", "1e999999999999999999999", "bad_value"),
    ("value", '"1e999999999"', "bad_value"),
    ("value", "9" * 5000, "bad_value"),
    ("value", '"' + "9" * 5000 + '"', "bad_value"),
    ("value", "true", "bad_value"),
    ("value", "null", "bad_value"),
    ("value", '""', "bad_value"),
    ("value", '" 1"', "bad_value"),
    ("value", '"1_000"', "bad_value"),
    ("value", '"12,5"', "bad_value"),
    ("value", '"0x10"', "bad_value"),
    ("value", '"NaN"', "bad_value"),
    ("value", '"１２"', "bad_value"),
    ("value", "[1]", "bad_value"),
    ("value", '{"a":1}', "bad_value"),
    ("value", "-1", "bad_value"),
    ("value", '"-0.001"', "bad_value"),
    ("value", "9223372036855", "bad_value"),
    ("value", None, "missing_field"),
    ("at", '"2026-11-20T00:00:00"', "bad_time"),
    ("at", '"2026-11-20"', "bad_time"),
    ("at", '"1970-01-01T00:00:00+00:00"', "bad_time"),
    ("at", '"1989-12-31T23:59:59Z"', "bad_time"),
    ("at", '"2100-01-01T00:00:00Z"', "bad_time"),
    ("at", '"0001-01-01T00:00:00+14:00"', "bad_time"),
    ("at", '"9999-12-31T23:59:59-12:00"', "bad_time"),
    ("at", '"2026-02-30T00:00:00Z"', "bad_time"),
    ("at", '"yesterday"', "bad_time"),
    ("at", '""', "bad_time"),
    ("at", "1795132800", "bad_time"),
    ("at", "null", "bad_time"),
    ("at", None, "missing_field"),
    ("channel", '"1.8"', "unknown_channel"),
    ("channel", '"99.99.99"', "unknown_channel"),
    ("channel", '"١.٨.٠"', "unknown_channel"),
    ("channel", "1.8", "unknown_channel"),
    ("channel", "[]", "unknown_channel"),
    ("channel", None, "missing_field"),
    ("meter", "100", "bad_meter"),
    ("meter", '""', "bad_meter"),
    ("meter", '" 100"', "bad_meter"),
    ("meter", '"1\\u0000"', "bad_meter"),
    ("meter", '"1\\ud800"', "bad_meter"),
    ("meter", '"' + "1" * 65 + '"', "bad_meter"),
    ("meter", "{}", "bad_meter"),
    ("meter", None, "missing_field"),
    ("unit", '"Wh"', "unknown_field"),
    ("captured", '"2026-11-20T00:00:00"', "bad_time"),
]


@pytest.mark.parametrize(("field", "text", "reason"), BAD)
def test_a_bad_element_is_refused_alone_and_named(field: str, text: str | None, reason: str) -> None:
    result = parsed(GOOD, changed(**{field: text}), GOOD)
    assert len(result.readings) == 2
    [reject] = result.rejects
    assert reject.reason == reason
    assert field in reject.detail
    assert len(reject.detail) < 250
    assert reject.meter in ("100", None)
    json.loads(reject.raw, parse_int=str)


@pytest.mark.parametrize("element", ["1", "null", '"x"', "[]", "true", "NaN", "{}", "[[[[1]]]]"])
def test_an_element_of_another_type_is_refused_alone(element: str) -> None:
    result = parsed(element, GOOD)
    assert len(result.readings) == 1
    assert len(result.rejects) == 1


def test_a_text_is_never_turned_into_a_number_by_being_refused() -> None:
    [reject] = parsed(changed(value='"\\u00001"')).rejects
    assert read_own(reject.raw).rejects == [reject]


def test_a_rejected_element_comes_in_an_envelope_that_can_be_delivered_again() -> None:
    [reject] = parsed(GOOD, changed(value="-7.10", meter='"б-1"')).rejects
    assert reject.meter == "б-1"
    assert reject.channel == "1.8.0"
    again = read_own(reject.raw.replace(b"-7.10", b"7.10"))
    assert [reading.value for reading in again.readings] == [Decimal("7.10")]
    assert read_own(reject.raw).rejects == [reject]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"nul",
        b"[]",
        b"{}",
        b"1",
        b'{"readings":null}',
        b'{"readings":{}}',
        b'{"readings":[' + GOOD.encode(),
        GOOD.encode(),
        b'{"readings":[%s]}' % GOOD.encode() + b"x",
        f'{{"readings":[{GOOD}]}}'.encode("utf-16"),
        '{"readings":"ж"}'.encode("cp1251"),
        b"[" * 100_000,
        b'{"readings":' * 100_000,
        b'{"readings":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ],
)
def test_what_cannot_be_parsed_is_one_reject_with_the_whole(payload: bytes) -> None:
    result = read_own(payload)
    [reject] = result.rejects
    assert not result.readings
    assert reject.reason == "malformed"
    assert reject.raw == payload
    assert len(reject.detail) < 250


def test_nesting_just_below_the_limit_is_no_crash() -> None:
    for depth in (300, 900, 980, 2000):
        result = parsed(GOOD, "[" * depth + "]" * depth)
        assert result.rejects


def test_an_unknown_field_beside_the_readings_is_told_and_costs_none_of_them() -> None:
    result = read_own(b'{"sent":1,"readings":[%s]}' % GOOD.encode())
    assert len(result.readings) == 1
    assert result.rejects[0].reason == "unknown_field"
    assert "sent" in result.rejects[0].detail


def test_a_byte_order_mark_is_no_harm() -> None:
    assert read_own(b"\xef\xbb\xbf" + b'{"readings":[%s]}' % GOOD.encode()).readings


def test_ten_megabytes_are_refused_whole_without_parsing() -> None:
    payload = b'{"readings":[%s]}' % b",".join([GOOD.encode()] * 120_000)
    assert len(payload) > 10_000_000
    delivery = parse(Message("amr/v1/gw-1/readings", payload, NOW))
    [reject] = delivery.rejects
    assert reject.reason == "too_large"
    assert str(LARGEST_PAYLOAD) in reject.detail
    assert reject.raw == payload
    assert not delivery.readings


def test_a_payload_cut_on_the_way_is_refused_whatever_is_left_of_it() -> None:
    delivery = parse(Message("amr/v1/gw-1/readings", b'{"readings":[]}', NOW, cut=LARGEST_PAYLOAD))
    assert delivery.rejects[0].reason == "too_large"


def test_thousands_of_bad_elements_become_a_bounded_number_of_rejects() -> None:
    result = parsed(*["7", GOOD] * 5_000)
    assert len(result.readings) == 5_000
    assert len(result.rejects) == MOST_REJECTS + 1
    assert "5000 of 10000" in result.rejects[-1].detail


def test_a_delivery_names_its_gateway_and_its_topic() -> None:
    delivery = parse(Message("amr/v1/tp-101/readings", b'{"readings":[%s]}' % GOOD.encode(), NOW))
    assert delivery.gateway == "tp-101"
    assert delivery.origin == "mqtt:amr/v1/tp-101/readings"
    assert delivery.raw


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["100", "1.8.0", "2026-11-20T00:00:00+04:00", "12345.678", "0001-01-01T00:00:00Z", "-1", "1e9"])
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["meter", "channel", "at", "value", "captured", "x"]), inner, max_size=6)
    ),
    max_leaves=12,
)


def check_fit(result: Parsed) -> None:
    """What every result must be, whatever came in."""
    for reading in result.readings:
        assert abs(to_micro(reading.value)) < 2**63
        assert 1990 <= reading.taken_at.year < 2100
        assert reading.taken_at.tzinfo is UTC
        assert reading.meter.isprintable()
    for reject in result.rejects:
        assert reject.reason
        assert isinstance(reject.raw, bytes)
        f"{reject.detail}{reject.meter}{reject.channel}".encode()  # a lone surrogate could not be stored
        assert "\x00" not in reject.detail


@settings(max_examples=400)
@given(st.lists(trees, max_size=5))
def test_any_json_in_the_list_gives_readings_or_rejects(elements: list[object]) -> None:
    result = read_own(json.dumps({"readings": elements}).encode())
    assert len(result.readings) + len(result.rejects) >= len(elements)
    check_fit(result)


@settings(max_examples=400)
@given(st.binary() | trees.map(lambda tree: json.dumps(tree).encode()), st.text(max_size=30))
def test_any_bytes_on_any_topic_give_a_delivery(payload: bytes, topic: str) -> None:
    delivery = parse(Message(topic, payload, NOW))
    assert delivery.gateway is not None
    check_fit(Parsed(list(delivery.readings), list(delivery.rejects)))


@settings(max_examples=300)
@given(st.binary(min_size=1, max_size=3), st.integers(0, 200))
def test_damaged_bytes_never_crash(noise: bytes, place: int) -> None:
    payload = bytearray(b'{"readings":[%s,%s]}' % (GOOD.encode(), GOOD.encode()))
    payload[place % len(payload) : place % len(payload) + len(noise)] = noise
    check_fit(read_own(bytes(payload)))
