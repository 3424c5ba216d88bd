"""A line's kind, address and options are checked as a whole, and every mistake names its remedy."""

from __future__ import annotations

import pytest

from collectors.line_settings import LineKind, settings_of, unit_of_meter
from ingest.errors import Misconfigured
from ingest.model import Line


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.0.0.7:1502", "10.0.0.7", 1502),
        ("converter", "converter", 502),
        ("[fd00::7]:503", "fd00::7", 503),
        ("[fd00::7]", "fd00::7", 502),
        ("fd00::7", "fd00::7", 502),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    settings = settings_of(Line("l", "modbus-tcp", address))
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize("address", ["", ":502", "host:0", "host:65536", "host:http", "host:５０２"])
def test_bad_addresses_are_named(address: str) -> None:
    with pytest.raises(Misconfigured, match="write host:port"):
        settings_of(Line("l", "modbus-tcp", address))


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        settings_of(Line("tp-7", "modbus-udp", "h:1", {"baud": 9601, "parity": "X", "timeout": "1", "bauds": 9600}))
    told = str(caught.value).splitlines()
    assert len(told) == 5
    assert all(line.startswith("line 'tp-7': ") for line in told)
    assert any("did you mean 'baud'?" in line for line in told)
    assert any("modbus-tcp, rtu-over-tcp, modbus-rtu, modbus-ascii" in line for line in told)


def test_a_serial_line_keeps_its_silences() -> None:
    slow = settings_of(Line("l", "modbus-rtu", "/dev/ttyS0"))
    assert slow.character == pytest.approx(10 / 9600)
    assert slow.frame_pause(0.0) == pytest.approx(35 / 9600)
    assert slow.frame_pause(0.02) == 0.02
    fast = settings_of(Line("l", "modbus-rtu", "/dev/ttyS0", {"baud": 115200, "parity": "E"}))
    assert fast.character == pytest.approx(11 / 115200)
    assert fast.frame_pause(0.0) == 0.00175


def test_a_pause_of_the_line_outranks_the_models() -> None:
    assert settings_of(Line("l", "modbus-tcp", "h:1", {"pause": 0.0})).frame_pause(0.5) == 0.0
    assert settings_of(Line("l", "modbus-tcp", "h:1")).frame_pause(0.5) == 0.5


def test_tcp_has_no_line_time() -> None:
    assert settings_of(Line("l", "modbus-tcp", "h:1")).frame_time(250) == 0.0
    converter = settings_of(Line("l", "rtu-over-tcp", "h:1"))
    assert converter.frame_time(40) == pytest.approx(53 * 10 / 9600)


@pytest.mark.parametrize(
    ("address", "kind", "unit"),
    [("1", LineKind.RTU, 1), ("247", LineKind.RTU, 247), ("0", LineKind.TCP, 0), ("255", LineKind.TCP, 255)],
)
def test_units(address: str, kind: LineKind, unit: int) -> None:
    assert unit_of_meter("s", address, kind) == unit


@pytest.mark.parametrize(
    ("address", "kind"),
    [("0", LineKind.RTU), ("248", LineKind.RTU), ("256", LineKind.TCP), ("x", LineKind.TCP), ("１", LineKind.TCP)],
)
def test_bad_units_name_the_meter_and_the_limits(address: str, kind: LineKind) -> None:
    with pytest.raises(Misconfigured, match=r"meter 11000001: address .* is no Modbus unit; write a number from"):
        unit_of_meter("11000001", address, kind)
