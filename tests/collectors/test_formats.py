"""Every preset against the messages its own file cites, and what a preset must never do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.format_model import Format, Kind
from collectors.formats_in_use import Formats, presets
from collectors.payload import Message
from ingest.channel import to_micro
from tests.collectors.test_payload import trees

PRESETS = presets()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def told(one: Format) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Readings and reasons of rejects the samples say must come, in order."""
    return [(sample.readings, sample.rejects) for sample in one.samples]


def read(one: Format) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Those that really come, the samples read one after another as one stream."""
    formats = Formats([one])
    result = []
    for sample in one.samples:
        message = Message(sample.topic, sample.payload, sample.received_at, sample.retained)
        delivery = formats.parse(message)
        readings = tuple(
            f"{r.meter} {r.channel} {r.value:f} {r.taken_at.isoformat().replace('+00:00', 'Z')}"
            for r in delivery.readings
        )
        result.append((readings, tuple(reject.reason for reject in delivery.rejects)))
    return result


def test_all_eight_presets_are_there() -> None:
    assert set(PRESETS) == {
        "own-json",
        "wiren-board",
        "tasmota",
        "shelly-gen2",
        "zigbee2mqtt",
        "thingsboard",
        "chirpstack",
        "sparkplug-b",
    }


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_reads_its_samples(name: str) -> None:
    one = PRESETS[name]
    assert one.samples
    assert read(one) == told(one)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_a_sample_that_is_read_and_one_that_is_not(name: str) -> None:
    samples = PRESETS[name].samples
    assert any(sample.readings for sample in samples)
    assert any(sample.rejects or not sample.readings for sample in samples)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_format_without_a_time_of_its_own_is_not_queued_by_the_broker(name: str) -> None:
    one = PRESETS[name]
    timed = bool(one.time.paths) or one.kind in (Kind.OWN, Kind.SPARKPLUG)
    assert set(Formats([one]).filters.values()) == {1 if timed else 0}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_reject_of_a_preset_keeps_the_whole_payload_or_its_element(name: str) -> None:
    formats = Formats([PRESETS[name]])
    for sample in PRESETS[name].samples:
        delivery = formats.parse(Message(sample.topic, sample.payload, sample.received_at, sample.retained))
        for reject in delivery.rejects:
            assert reject.raw == sample.payload or reject.raw.startswith(b'{"readings": [')


everything = Formats(PRESETS.values())
topics = st.sampled_from([sample.topic for one in PRESETS.values() for sample in one.samples])
payloads = st.sampled_from([sample.payload for one in PRESETS.values() for sample in one.samples])


@settings(max_examples=600)
@given(topics, payloads | st.binary(max_size=60), st.booleans(), st.binary(max_size=3), st.integers(0, 300))
def test_damaged_payloads_never_crash_a_preset(
    topic: str, payload: bytes, retained: bool, noise: bytes, place: int
) -> None:
    at = place % (len(payload) + 1)
    damaged = payload[:at] + noise + payload[at + len(noise) :]
    check(Message(topic, damaged, NOW, retained))


@settings(max_examples=400)
@given(topics, trees, st.sampled_from(["ENERGY", "values", "object", "total_act", "Device", "energy"]))
def test_any_json_never_crashes_a_preset(topic: str, tree: object, key: str) -> None:
    check(Message(topic, json.dumps({key: tree, "Time": "2023-02-05T20:31:48Z"}).encode(), NOW))


def check(message: Message) -> None:
    delivery = everything.parse(message)
    assert delivery.gateway
    for reading in delivery.readings:
        assert abs(to_micro(reading.value)) < 2**63
        assert 1990 <= reading.taken_at.year < 2100
        assert reading.meter.isprintable()
    for reject in delivery.rejects:
        assert reject.reason != "parser_failed"
        f"{reject.detail}{reject.meter}".encode()
        assert "\x00" not in reject.detail
