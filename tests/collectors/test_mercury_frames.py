"""Frames of Меркурий meters: the recorded ones byte for byte, and everything that must not be taken for an answer."""

from __future__ import annotations

import random

import pytest

from collectors.crc import crc16
from collectors.mercury_frames import Frame, frame_206, frame_230
from tests.collectors.recorded import Exchange, exchanges

ADDRESS_206 = 0xFE123456
ENERGY = frame_230(0, bytes.fromhex("05 00 00"), 16)
ENERGY_REPLY = exchanges("mercury230")[1].reply


def frames_of(exchange: Exchange) -> Frame:
    request, reply = exchange.request, exchange.reply
    if request.startswith(b"\xfe\x12\x34\x56"):
        return frame_206(ADDRESS_206, request[4:-2], len(reply) - 7)
    return frame_230(request[0], request[1:-2], len(reply) - 3)


@pytest.mark.parametrize("exchange", [*exchanges("mercury230"), *exchanges("mercury206")])
def test_recorded_frames_byte_for_byte(exchange: Exchange) -> None:
    frame = frames_of(exchange)
    assert frame.request == exchange.request
    assert frame.answer(exchange.reply) == exchange.reply[len(frame.head) : -2]
    assert frame.verdict(b"") is None


def test_a_reply_of_a_single_phase_meter_with_unused_tariffs() -> None:
    # Printed in the documentation of the iobroker.mercury adapter: 32 0F asked of a Меркурий 206.
    reply = bytes((0, 14, 31, 155, 50, 7, 0, 99, 0, *[255] * 12, 127, 86))
    data = frame_206(int.from_bytes(reply[:4], "big"), b"\x32\x0f", 16).answer(reply)
    assert data == bytes.fromhex("07 00 63 00" + "FF" * 12)


def test_the_answer_comes_in_any_pieces() -> None:
    assert all(ENERGY.answer(ENERGY_REPLY[:n]) is None for n in range(len(ENERGY_REPLY)))
    assert ENERGY.answer(ENERGY_REPLY) is not None


def test_an_echo_and_the_noise_of_turning_are_stepped_over() -> None:
    data = ENERGY_REPLY[1:-2]
    assert ENERGY.answer(ENERGY.request + ENERGY_REPLY) == data
    assert ENERGY.answer(b"\xff\x00" + ENERGY_REPLY) == data
    assert ENERGY.answer(b"\x05" + ENERGY_REPLY) is None
    assert ENERGY.answer(b"\xff\xff\xff" + ENERGY_REPLY) is None


def test_our_own_echo_is_no_answer_though_it_has_the_right_length() -> None:
    voltage = frame_230(0, bytes.fromhex("08 11 11"), 3)
    assert voltage.length == len(voltage.request)
    assert voltage.answer(voltage.request) is None
    assert voltage.verdict(voltage.request) is None


def test_a_good_frame_of_another_length_or_address_is_not_the_answer() -> None:
    longer = exchanges("mercury230")[2].reply
    assert frame_230(0, bytes.fromhex("05 60 00"), 12).answer(longer) is not None
    assert ENERGY.answer(longer) is None
    assert "not the answer asked for" in str(ENERGY.verdict(longer))
    assert frame_230(1, bytes.fromhex("05 00 00"), 16).answer(ENERGY_REPLY) is None
    assert ENERGY.answer(ENERGY_REPLY + b"\x00") is None


def test_the_late_frame_of_another_meter_does_not_hide_the_answer() -> None:
    other = bytes.fromhex("05 00")
    late = other + crc16(other)
    assert ENERGY.answer(late + ENERGY_REPLY) == ENERGY_REPLY[1:-2]
    assert ENERGY.answer(late[:-1] + b"\x00" + ENERGY_REPLY) is None
    assert ENERGY.answer(ENERGY_REPLY + ENERGY_REPLY) is None


def test_a_status_counts_only_when_it_came_alone() -> None:
    refused = bytes.fromhex("00 05 C1 B3")
    assert ENERGY.answer(refused) is None
    assert ENERGY.status(refused) == 5
    assert ENERGY.status(ENERGY.request + refused) == 5
    assert ENERGY.status(refused + b"\x00") is None
    assert ENERGY.status(ENERGY_REPLY) is None
    assert frame_206(ADDRESS_206, b"\x27", 16).status(refused) is None


def test_ten_thousand_damaged_frames_are_all_refused() -> None:
    rng = random.Random(20_261_120)
    taken = 0
    for number in range(10_000):
        exchange = rng.choice([*exchanges("mercury230"), *exchanges("mercury206")])
        frame, damaged = frames_of(exchange), bytearray(exchange.reply)
        match number % 4:
            case 0:
                for _ in range(rng.randint(1, 8)):
                    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            case 1:
                del damaged[rng.randrange(len(damaged)) :]
            case 2:
                damaged.insert(rng.randrange(1, len(damaged) + 1), rng.randrange(256))
            case 3:
                del damaged[rng.randrange(len(damaged))]
        if bytes(damaged) == exchange.reply:
            continue
        taken += frame.answer(bytes(damaged)) not in (None, exchange.reply[len(frame.head) : -2])
    assert taken == 0


def test_the_crc_is_low_byte_first() -> None:
    assert crc16(bytes.fromhex("00 01 01 01 01 01 01 01 01")) == bytes.fromhex("77 81")
