"""Frames byte for byte, and what each fault does to them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ascii_framing import AsciiStation, ascii_frame
from simulators.clock import Clock
from simulators.faults import Fault, Kind
from simulators.framing import MbapStation, Reply, RtuStation, Station, crc16, rtu
from simulators.layouts import layout_of
from simulators.models import meter_of
from simulators.unit import Unit

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ASK = bytes.fromhex("04 0048 0002")
RTU_ASK = rtu(5, ASK)
MBAP_ASK = bytes.fromhex("0007 0000 0006 05") + ASK


def unit(*scenario: Fault) -> Unit:
    clock = Clock(AT, factor=0)
    return Unit(meter_of("eastron-sdm120", "11000005", shares={}), layout_of("eastron-sdm120"), clock, scenario)


def healthy(one: Unit) -> bytes:
    return one.answer(ASK)


def test_the_crc_is_modbuss_own() -> None:
    # A request printed in Eastron's manuals, and the answer to "230.2 V" beside it.
    assert rtu(1, bytes.fromhex("04 0000 0002")).hex(" ") == "01 04 00 00 00 02 71 cb"
    assert rtu(1, bytes.fromhex("04 04 4366 3334")).hex(" ") == "01 04 04 43 66 33 34 1b 38"
    assert crc16(bytes.fromhex("0104044366 33341b38")) == 0


def test_an_answer_in_both_framings() -> None:
    one = unit()
    pdu = healthy(one)
    assert pdu[:2] == b"\x04\x04"
    assert MbapStation({5: one}).hear(MBAP_ASK) == [Reply(bytes.fromhex("0007 0000 0007 05") + pdu)]
    assert RtuStation({5: one}).hear(RTU_ASK) == [Reply(rtu(5, pdu))]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_pieces_make_no_difference(sizes: list[int]) -> None:
    one = unit()
    for station, stream in ((MbapStation({5: one}), MBAP_ASK * 6), (RtuStation({5: one}), RTU_ASK * 6)):
        replies, rest = [], stream
        for size in [*sizes, len(stream)]:
            replies += station.hear(rest[:size])
            rest = rest[size:]
        assert len(replies) == 6


@given(st.binary(max_size=600))
def test_no_garbage_breaks_a_station(data: bytes) -> None:
    one = unit()
    for station in (MbapStation({5: one}), RtuStation({5: one})):
        station.hear(data)
        station.silence()
    rtu_station = RtuStation({5: one})
    rtu_station.hear(data)
    rtu_station.silence()
    assert rtu_station.hear(RTU_ASK) == [Reply(rtu(5, healthy(one)))]


def test_noise_before_a_request_is_stepped_over() -> None:
    one = unit()
    assert RtuStation({5: one}).hear(b"\x05\x04\x00" + RTU_ASK) == [Reply(rtu(5, healthy(one)))]


def test_a_request_with_a_wrong_crc_is_not_answered() -> None:
    assert RtuStation({5: unit()}).hear(RTU_ASK[:-1] + b"\x00") == []


@pytest.mark.parametrize("pdu", ["10 0048 0002 04 0000 0000", "2b 0e 01 00", "11"])
def test_functions_of_any_length_are_refused(pdu: str) -> None:
    request = bytes.fromhex(pdu)
    refusal = bytes((request[0] | 0x80, 1))
    one = unit()
    assert RtuStation({5: one}).hear(rtu(5, request)) == [Reply(rtu(5, refusal))]
    header = (1).to_bytes(2, "big") + b"\0\0" + (len(request) + 1).to_bytes(2, "big") + b"\x05"
    assert [reply.frame[7:] for reply in MbapStation({5: one}).hear(header + request)] == [refusal]


@pytest.mark.parametrize("frame", ["0001 0001 0006 05 04 0048 0002", "0001 0000 ffff 05 04 0048 0002"])
def test_what_is_no_modbus_tcp_closes_the_connection(frame: str) -> None:
    assert MbapStation({5: unit()}).hear(bytes.fromhex(frame)) == [Reply(b"", closes=True)]


def stations(one: Unit) -> list[tuple[Station, bytes]]:
    return [(MbapStation({5: one}), MBAP_ASK), (RtuStation({5: one}), RTU_ASK)]


@pytest.mark.parametrize("kind", [Kind.SLOW, Kind.LATE])
def test_slow_and_late(kind: Kind) -> None:
    one = unit()
    sound = [station.hear(ask)[0].frame for station, ask in stations(one)]
    one.break_with(kind, seconds=1.5)
    assert [station.hear(ask) for station, ask in stations(one)] == [[Reply(frame, after=1.5)] for frame in sound]


def test_dead_and_disconnect() -> None:
    one = unit()
    one.break_with("dead")
    assert [station.hear(ask) for station, ask in stations(one)] == [[], []]
    one.break_with("disconnect")
    assert [station.hear(ask) for station, ask in stations(one)] == [[Reply(b"", closes=True)]] * 2


@pytest.mark.parametrize(("kind", "code"), [("busy", 6), ("illegal-address", 2)])
def test_exceptions(kind: str, code: int) -> None:
    one = unit()
    one.break_with(kind)
    (mbap,), (serial,) = (station.hear(ask) for station, ask in stations(one))
    assert mbap.frame[7:] == bytes((0x84, code))
    assert serial.frame == rtu(5, bytes((0x84, code)))


def test_noise_fails_the_crc_and_a_gateway_hides_it() -> None:
    one = unit()
    sound = rtu(5, healthy(one))
    one.break_with("noise")
    (mbap,), (serial,) = (station.hear(ask) for station, ask in stations(one))
    assert mbap.frame[7:] == bytes((0x84, 11))
    assert len(serial.frame) == len(sound)
    assert serial.frame != sound
    assert crc16(serial.frame) != 0


def test_damage_to_the_frame() -> None:
    one = unit()
    sound = rtu(5, healthy(one))
    shown = {}
    for kind in (Kind.LEADING_NOISE, Kind.HALF_FRAME, Kind.WRONG_UNIT, Kind.SHORT):
        one.break_with(kind)
        (shown[kind],) = RtuStation({5: one}).hear(RTU_ASK)
    assert shown[Kind.LEADING_NOISE].frame[-len(sound) :] == sound
    assert len(shown[Kind.LEADING_NOISE].frame) > len(sound)
    assert shown[Kind.HALF_FRAME].frame == sound[: len(sound) // 2]
    assert shown[Kind.WRONG_UNIT].frame == rtu(6, healthy(one))
    assert shown[Kind.SHORT].frame == rtu(5, b"\x04\x02" + healthy(one)[2:4])


def test_ascii_frames() -> None:
    # The example of "Modbus over Serial Line" has no LRC printed; this one is computed by hand: -(0x11+0x03+0x6B+0x03).
    assert ascii_frame(0x11, bytes.fromhex("03 006B 0003")) == b":1103006B00037E\r\n"
    one = unit()
    station = AsciiStation({5: one})
    ask = ascii_frame(5, ASK)
    assert station.hear(b"noise" + ask[:7]) == []
    station.silence()
    assert station.hear(ask[7:] + ask) == [Reply(ascii_frame(5, healthy(one)))] * 2
    assert station.hear(ask.replace(b"4", b"5", 1)) == [], "its LRC does not fit"
    assert station.hear(ascii_frame(6, ASK)) == []


def test_noise_spoils_an_ascii_answer() -> None:
    one = unit(Fault(Kind.NOISE))
    asked = ascii_frame(5, ASK)
    [reply] = AsciiStation({5: one}).hear(asked)
    assert reply.frame != ascii_frame(5, healthy(one))
    assert len(reply.frame) == len(ascii_frame(5, healthy(one)))


@given(st.binary(max_size=2000))
def test_no_garbage_breaks_an_ascii_station(data: bytes) -> None:
    one = unit()
    station = AsciiStation({5: one})
    station.hear(data)
    assert station.hear(b"\r\n" + ascii_frame(5, ASK))[-1] == Reply(ascii_frame(5, healthy(one)))
