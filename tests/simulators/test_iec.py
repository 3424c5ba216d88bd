"""Simulated IEC 62056-21 meters: recorded bytes reproduced, sessions, passwords, speeds, archives, faults."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.clock import Clock
from simulators.faults import Kind
from simulators.framing import Reply, RtuStation
from simulators.iec_frames import check, even, framed
from simulators.iec_meters import IecMeter, IecModel, ce102m, ce303, neva_mt3xx
from simulators.iec_station import IecStation
from simulators.memory import at_midnight
from simulators.replay import Replay
from simulators.shared_line import SharedLine
from tests.collectors.recorded import exchanges
from tests.simulators.test_mercury import fixed, meter

AT = datetime(2026, 11, 20, 14, 40, tzinfo=UTC)
CE, NEVA = exchanges("energomera_ce102m"), exchanges("neva_mt324")


def iec(model: IecModel, address: str = "141628345", clock: Clock | None = None, password: str = "777777") -> IecMeter:
    own = meter(serial="141628345", phases=model.phases, resolution=model.resolution)
    return IecMeter(own, model, clock or Clock(AT, factor=0), address=address, password=password)


def read(station: IecStation, name: str, bcc: str = "sum") -> str:
    (reply,) = station.hear(framed(b"\x01", b"R1\x02" + name.encode(), bcc))
    assert check(reply.frame[1:-1], bcc) == reply.frame[-1:]
    return reply.frame[1:-2].decode()


def entered(one: IecMeter) -> IecStation:
    station = IecStation([one])
    station.hear(f"/?{one.address}!\r\n".encode())
    station.hear(b"\x06051\r\n")
    opened = station.hear(framed(b"\x01", f"P1\x02({one.password})".encode(), one.model.bcc))
    assert opened == [Reply(b"\x06")]
    return station


def test_recorded_ce102m_byte_for_byte() -> None:
    shown = fixed(
        "141628345",
        _1_8_0="68.42",
        _1_8_1="45.54",
        _1_8_2="22.88",
        _31_7_0="0.402",
        _14_7_0="49.97",
        _32_7_0="237.58",
    )
    station = IecStation([IecMeter(shown, ce102m(), Clock(AT, factor=0))])
    for request, reply, _ in CE:
        assert station.hear(request) == [Reply(reply)]


def test_recorded_neva_byte_for_byte() -> None:
    shown = fixed("00000201", _1_8_0="46.24", _1_8_1="31.14", _1_8_2="15.10")
    one = IecMeter(shown, neva_mt3xx(), Clock(AT, factor=0), password="00000000")
    station = IecStation([one])
    for number in (0, 2):
        assert station.hear(NEVA[number].request) == [Reply(NEVA[number].reply)]
    assert station.hear(NEVA[6].request) == [Reply(NEVA[6].reply)]
    # The recorded meter pads its numbers; the values are the same.
    assert read(station, "0F0880FF()", "xor") == "0F0880FF(46.24,31.14,15.10,0.00,0.00)"


def test_only_the_called_meter_talks_until_its_session_ends() -> None:
    clock = Clock(AT, factor=0)
    one, two = iec(ce102m(), "1", clock), iec(ce102m(), "2", clock)
    station = IecStation([one, two])
    assert station.hear(b"/?1!\r\n") != []
    assert station.hear(b"/?2!\r\n") == []
    station.hear(framed(b"\x01", b"B0", "sum"))
    assert station.hear(b"/?2!\r\n") != []
    clock.move(AT + timedelta(seconds=4))
    assert station.hear(b"/?1!\r\n") != []
    assert station.hear(b"/?9!\r\n") == []


def test_without_the_password_nothing_is_read_and_a_wrong_one_ends_the_session() -> None:
    station = IecStation([iec(ce102m())])
    station.hear(b"/?141628345!\r\n")
    station.hear(b"\x06051\r\n")
    assert read(station, "ET0PE()") == "(ERR12)"
    assert station.hear(framed(b"\x01", b"P1\x02(000000)", "sum")) == [Reply(framed(b"\x01", b"B0", "sum"))]
    assert station.hear(framed(b"\x01", b"R1\x02ET0PE()", "sum")) == []


def test_the_speed_changes_with_the_session_and_back() -> None:
    one = IecMeter(meter(), ce102m(), Clock(AT, factor=0), address="1", speed=9600)
    station = IecStation([one], initial=300)
    assert station.hear(b"/?1!\r\n")[0].frame.startswith(b"/EKT5")
    station.hear(b"\x06051\r\n")
    assert station.baud == 9600
    station.hear(framed(b"\x01", b"B0", "sum"))
    assert station.baud == 300
    station.hear(b"/?1!\r\n")
    station.hear(b"\x06001\r\n")
    assert station.baud == 300


def test_a_client_with_parity_in_its_characters_is_answered_so() -> None:
    station = IecStation([iec(ce102m())])
    (reply,) = station.hear(even(b"/?141628345!\r\n"))
    assert reply.frame == even(b"/EKT5CE102Mv01\r\n")
    assert station.hear(b"\x81\x05") == []


def test_registers_at_the_end_of_a_day_and_of_a_month() -> None:
    one = iec(ce303())
    station = entered(one)
    shown = at_midnight(one.meter, date(2026, 11, 20))["1.8.0"]
    assert read(station, "ENDPE(19.11.26)").startswith(f"ENDPE({shown:.7f})")
    month = at_midnight(one.meter, date(2026, 11, 1))["1.8.0"]
    assert read(station, "ENMPE(10.26)").startswith(f"ENMPE({month:.7f})")
    assert read(station, "ENDPE(20.11.26)") == "ENDPE(ERR18)\r\n"
    assert read(station, "ENDPE(31.02.26)") == "ENDPE(ERR17)\r\n"
    assert read(station, "ENDPE(01.01.26)") == "ENDPE(ERR18)\r\n"
    assert read(entered(iec(ce102m())), "ENDPE(19.11.26)") == "(ERR12)"


def test_clock_serial_and_readout() -> None:
    station = entered(iec(ce303()))
    assert read(station, "SNUMB()") == "SNUMB(141628345)\r\n"
    assert read(station, "DATE_()") == "DATE_(05.20.11.26)\r\n"
    assert read(station, "TIME_()") == "TIME_(18:40:00)\r\n"
    station = IecStation([iec(neva_mt3xx())])
    station.hear(b"/?141628345!\r\n")
    (block,) = station.hear(b"\x06050\r\n")
    assert block.frame.startswith(b"\x020.0.0(141628345)\r\n1.8.0(")
    assert block.frame[-4:-2] == b"\r\n"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_fault_changes_what_arrives(kind: Kind) -> None:
    one = iec(ce102m())
    sound = IecStation([iec(ce102m())]).hear(b"/?141628345!\r\n")
    one.break_with(kind, seconds=1.0)
    assert IecStation([one]).hear(b"/?141628345!\r\n") != sound


def test_on_a_shared_line_everybody_hears_everything() -> None:
    line = SharedLine([RtuStation({}), IecStation([iec(ce102m())])])
    assert line.hear(bytes.fromhex("05 03 00 00 00 02 C5 8F")) == []
    line.silence()
    assert len(line.hear(even(b"/?141628345!\r\n"))) == 1
    assert line.baud == 9600
    assert SharedLine([RtuStation({})]).baud is None


def test_a_replay_keeps_what_was_not_recorded() -> None:
    station = Replay([(b"ab", b"1"), (b"cd", b"")])
    assert station.hear(b"a") == []
    assert station.hear(b"b") == [Reply(b"1")]
    assert station.hear(b"cx") == []
    assert (station.unexpected, station.done) == (b"cx", False)
    assert station.hear(b"cd") == []
    assert station.done


def test_values_as_the_meter_counts_them() -> None:
    one = iec(ce303())
    total = one.meter.values(AT)["1.8.0"]
    assert read(entered(one), "ET0PE()").splitlines()[0] == f"ET0PE({total:.7f})"
    assert Decimal(read(entered(iec(ce102m())), "POWEP()")[6:-3]) * 1000 == one.meter.values(AT)["1.7.0"]
