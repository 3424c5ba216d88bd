"""Frames held to pymodbus's framers, and every way in which an answer may not be ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from collectors.crc import crc16
from collectors.modbus_frames import Garbled, Mbap, Rtu, question
from ingest.errors import Malformed

ASK = question(5, 4, 0x48, 2)
GOOD = bytes.fromhex("0404 4640E6AE")
REFUSED = bytes.fromhex("8402")


def mbap(pdu: bytes, transaction: int = 1, unit: int = 5) -> bytes:
    return bytes((transaction >> 8, transaction & 255, 0, 0, 0, len(pdu) + 1, unit)) + pdu


def rtu(pdu: bytes, unit: int = 5) -> bytes:
    frame = bytes((unit,)) + pdu
    return frame + crc16(frame)


@given(st.integers(0, 255), st.integers(0, 0xFFFF - 125), st.integers(1, 125), st.sampled_from([3, 4]))
def test_requests_are_what_pymodbus_would_send(unit: int, address: int, count: int, function: int) -> None:
    kind = ReadHoldingRegistersRequest if function == 3 else ReadInputRegistersRequest
    theirs = kind(address=address, count=count, dev_id=unit, transaction_id=1)
    ours = question(unit, function, address, count)
    assert Rtu().frame(ours) == FramerRTU(DecodePDU(False)).buildFrame(theirs)
    assert Mbap().frame(ours) == FramerSocket(DecodePDU(False)).buildFrame(theirs)


@given(st.binary(min_size=1, max_size=300))
def test_the_crc_is_the_one_of_modbus(data: bytes) -> None:
    assert crc16(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


def asked(framing: Mbap | Rtu) -> Mbap | Rtu:
    framing.frame(ASK)
    return framing


@pytest.mark.parametrize(("framing", "wrap"), [(Mbap, mbap), (Rtu, rtu)])
class TestBoth:
    """What MBAP and RTU have in common. `wrap` puts a frame around a PDU."""

    def test_an_answer_is_taken_when_it_is_whole(self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]) -> None:
        frame = wrap(GOOD)
        asking = asked(framing())
        assert [asking.answer(frame[:length]) for length in range(len(frame))] == [None] * len(frame)
        assert asking.answer(frame) == GOOD

    def test_a_refusal_is_an_answer(self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]) -> None:
        assert asked(framing()).answer(wrap(REFUSED)) == REFUSED

    def test_an_answer_of_another_function_is_not_taken(
        self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]
    ) -> None:
        assert not_taken(asked(framing()), wrap(b"\x03" + GOOD[1:]))

    def test_a_short_answer_is_not_taken(self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]) -> None:
        assert not_taken(asked(framing()), wrap(bytes.fromhex("04024640")))

    def test_a_byte_count_that_lies_is_not_taken(self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]) -> None:
        assert not_taken(asked(framing()), wrap(bytes.fromhex("04064640E6AE")))

    def test_an_answer_of_another_unit_is_not_taken(
        self, framing: type[Mbap | Rtu], wrap: Callable[..., bytes]
    ) -> None:
        assert not_taken(asked(framing()), wrap(GOOD, unit=6))


def not_taken(asking: Mbap | Rtu, heard: bytes) -> bool:
    try:
        return asking.answer(heard) is None
    except Malformed:
        return True


def test_a_late_answer_of_an_earlier_transaction_is_passed_over() -> None:
    asking = Mbap()
    asking.frame(ASK)
    asking.frame(ASK)
    late = mbap(bytes.fromhex("04 04 00000000"), transaction=1)
    assert asking.answer(late) is None
    assert asking.answer(late + mbap(GOOD, transaction=2)) == GOOD


def test_transactions_wrap_to_zero() -> None:
    asking = Mbap(first=0xFFFF)
    assert asking.frame(ASK)[:2] == b"\0\0"
    assert asking.answer(mbap(GOOD, transaction=0)) == GOOD


@pytest.mark.parametrize("garbage", ["0001 0001 0006 0504", "0001 0000 0000 0504", "0504 0446 40E6 AE00"])
def test_a_stream_without_frames_is_garbled(garbage: str) -> None:
    with pytest.raises(Garbled, match="is not a Modbus TCP frame"):
        asked(Mbap()).answer(bytes.fromhex(garbage))


@given(st.binary(max_size=20))
def test_noise_before_an_rtu_answer_does_not_hide_it(noise: bytes) -> None:
    assert asked(Rtu()).answer(noise + rtu(GOOD)) == GOOD


@given(st.integers(0, 8 * 9 - 1))
def test_one_damaged_bit_of_an_rtu_answer_is_never_taken(bit: int) -> None:
    frame = bytearray(rtu(GOOD))
    frame[bit // 8] ^= 1 << bit % 8
    assert asked(Rtu()).answer(bytes(frame)) is None


def test_an_rtu_answer_behind_a_foreign_frame_is_found() -> None:
    assert asked(Rtu()).answer(rtu(bytes.fromhex("0404 00000001"), unit=6) + rtu(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (b"", None),
        (rtu(GOOD, unit=6), "good frame but no answer of unit 5"),
        (rtu(bytes.fromhex("04024640")), "good frame but no answer of unit 5 of the asked length"),
        (rtu(GOOD)[:-3], "no whole frame"),
        (b"\xff\x00\x12", "no whole frame"),
    ],
)
def test_what_was_heard_instead_of_an_answer_is_told(heard: bytes, words: str | None) -> None:
    verdict = asked(Rtu()).verdict(heard)
    assert (verdict is None) == (words is None)
    assert words is None or words in str(verdict)
