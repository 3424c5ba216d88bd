"""Careless broker settings are noticed by trying them out, on a real Mosquitto with its own defaults."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.broker import Broker
from collectors.probe import Kept, probe, warn_if_too_small
from simulators.mosquitto import Mosquitto


@pytest.mark.parametrize("version", [5, 4])
async def test_a_broker_with_room_has_no_complaints(version: int, caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto() as mosquitto:
        kept = await warn_if_too_small(Broker.from_url(mosquitto.url, version=version))
    assert kept is not None
    assert (kept.sent, kept.kept) == (3000, 3000)
    assert kept.window >= 3000
    assert not kept.complaints
    assert not caplog.records


async def test_mosquittos_defaults_drop_most_of_a_burst(caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto("max_queued_messages 1000\nmax_inflight_messages 20") as mosquitto:
        kept = await warn_if_too_small(Broker.from_url(mosquitto.url, version=4))
    assert kept is not None
    assert kept.kept <= 1020
    assert kept.window == 20
    assert "max_queued_messages" in caplog.text
    assert "max_inflight_messages" in caplog.text


async def test_a_probe_leaves_nothing_at_the_broker() -> None:
    async with Mosquitto() as mosquitto:
        broker = Broker.from_url(mosquitto.url)
        assert (await probe(broker, 50)).kept == 50
        assert (await probe(broker, 50)).kept == 50


@pytest.fixture
def read_only() -> Iterator[str]:
    """A rule file, readable for Mosquitto, that lets nobody publish."""
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp") as rules:
        rules.write("topic read #\n")
        rules.flush()
        Path(rules.name).chmod(0o644)
        yield rules.name


async def test_a_broker_that_does_not_let_us_try_says_so(read_only: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto(f"acl_file {read_only}") as mosquitto:
        assert await warn_if_too_small(Broker.from_url(mosquitto.url)) is None
    assert "allow amr/v1/probe/#" in caplog.text


async def test_a_broker_that_cannot_be_tried_out_is_no_reason_not_to_start(caplog: pytest.LogCaptureFixture) -> None:
    assert await warn_if_too_small(Broker("127.0.0.1", 1)) is None
    assert "could not be tried out" in caplog.text


def test_a_small_window_is_no_complaint_when_nothing_more_was_there() -> None:
    assert Kept(10, 10, 10).complaints == []
    assert len(Kept(1000, 900, 20).complaints) == 2
