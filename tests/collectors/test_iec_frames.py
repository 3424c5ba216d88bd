"""IEC 62056-21 frames: the recorded ones byte for byte, both checksums, parity, and what must not pass."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.iec_data import NotThere, clock, items, number, readout
from collectors.iec_frames import (
    Bcc,
    Block,
    Greeting,
    acknowledged,
    block,
    choice,
    command,
    greeting,
    sign_on,
    with_parity,
    without_parity,
)
from ingest.errors import Malformed
from tests.collectors.recorded import exchanges

CE, NEVA = exchanges("energomera_ce102m"), exchanges("neva_mt324")
READS = [(Bcc.SUM, one) for one in CE[3:]] + [(Bcc.XOR, one) for one in NEVA[3:]]


def name_of(request: bytes) -> str:
    return request[4:-2].decode().partition("(")[0]


def test_the_recorded_openings_byte_for_byte() -> None:
    for recorded, address, bcc, password, said in (
        (CE, "141628345", Bcc.SUM, "777777", Greeting("EKT", "5", "CE102Mv01")),
        (NEVA, "00000201", Bcc.XOR, "00000000", Greeting("TPC", "5", "NEVAMT324.2307")),
    ):
        assert recorded[0].request == sign_on(address)
        assert greeting(recorded[0].reply) == said
        assert said.baud == 9600
        assert recorded[1].request == choice("5", programming=True)
        opened = block(recorded[1].reply, recorded[1].request, bcc)
        assert opened is not None
        assert opened.start == 1
        assert opened.text.startswith(b"P0\x02(")
        assert recorded[2].request == command("P1", f"({password})", bcc)
        assert acknowledged(recorded[2].reply, recorded[2].request, bcc) is True


@pytest.mark.parametrize(("bcc", "exchange"), READS)
def test_recorded_reads_byte_for_byte(bcc: Bcc, exchange: tuple[bytes, bytes, object]) -> None:
    request, reply, _ = exchange
    assert command("R1", request[4:-2].decode(), bcc) == request
    found = block(reply, request, bcc)
    assert found == Block(2, reply[1:-2])


def test_the_two_checks_are_told_apart() -> None:
    # Not by every frame: the recorded answer to ET0PE happens to pass both.
    for bcc, recorded in ((Bcc.SUM, NEVA), (Bcc.XOR, CE)):
        assert [block(one.reply, one.request, bcc) for one in recorded[4:]].count(None) >= 2


def test_recorded_values() -> None:
    meant = ["68.42", "45.54", "22.88", "0.00", "0.00", "0.00"]
    assert items("ET0PE", CE[3].reply[1:-2]) == meant
    assert items("FREQU", CE[5].reply[1:-2]) == ["49.97"]
    neva = items("0F0880FF", NEVA[7].reply[1:-2])
    assert [number("0F0880FF", one) for one in neva] == [Decimal(x) for x in ("46.24", "31.14", "15.10", "0", "0")]


def test_the_recorded_error_is_no_value() -> None:
    with pytest.raises(NotThere, match="030880FF with error 01"):
        items("030880FF", NEVA[6].reply[1:-2])


def test_data_sets_of_the_other_meters() -> None:
    assert items("ET0PE", b"ET0PE(16907.9477764)\r\nET0PE(11504.38)\r\n") == ["16907.9477764", "11504.38"]
    assert items("VOLTA", b"VOLTA(228.93)VOLTA(230.02)") == ["228.93", "230.02"]
    with pytest.raises(NotThere, match="ERR18"):
        items("ENDPE", b"ENDPE(ERR18)\r\n")
    with pytest.raises(NotThere, match="ERR12"):
        items("ENDPE", b"(ERR12)")
    for foreign in (
        b"CURRE(0.402)\r\n",
        b"",
        b"ET0PE",
        b"ET0PE(1)x(2)",
        b"ET0PE(1)\r\nCURRE(2)",
        b"ET0PE((1)",
        b"\xff(1)",
    ):
        with pytest.raises(Malformed):
            items("ET0PE", foreign)


def test_a_readout() -> None:
    lines = b"0.0.0(12345678)\r\n1-0:1.8.0*255(001234.567*kWh)\r\n1.8.1(000734.5*kWh)\r\nC.1(x)\r\n!\r\n"
    assert readout(lines) == {"0.0.0": ("12345678", ""), "1.8.0": ("001234.567", "kWh"), "1.8.1": ("000734.5", "kWh")}
    with pytest.raises(Malformed, match="ends with !"):
        readout(b"1.8.0(001234.567*kWh)\r\n")


def test_numbers_are_exact_and_nothing_else() -> None:
    assert number("X", "00068.420") == Decimal("68.420")
    assert number("X", "") is None
    for wrong in ("68,42", "1e5", "NaN", "٣", " 1", "1.", "--1"):
        with pytest.raises(Malformed):
            number("X", wrong)


def test_clocks() -> None:
    assert clock("05.20.11.26", "14:30:59").isoformat() == "2026-11-20T14:30:59"
    assert clock("5.20.11.26", "14:30:59").isoformat() == "2026-11-20T14:30:59"
    assert clock("261120", "143059").isoformat() == "2026-11-20T14:30:59"
    with pytest.raises(Malformed, match="no date"):
        clock("05.31.11.26", "14:30:59")


def test_a_refused_password_is_no_acknowledgement() -> None:
    request = command("P1", "(123456)", Bcc.SUM)
    assert acknowledged(b"", request, Bcc.SUM) is None
    assert acknowledged(request, request, Bcc.SUM) is None
    assert acknowledged(request + b"\x06", request, Bcc.SUM) is True
    assert acknowledged(b"\x15", request, Bcc.SUM) is False
    assert acknowledged(command("B0", None, Bcc.SUM), request, Bcc.SUM) is False


def test_blocks_in_pieces_and_with_more_behind_them() -> None:
    request, reply, _ = CE[3]
    assert all(block(reply[:n], request, Bcc.SUM) is None for n in range(len(reply)))
    assert block(request + reply, request, Bcc.SUM) is not None
    assert block(reply + b"\x00", request, Bcc.SUM) is None


@given(st.binary(max_size=40))
def test_parity_there_and_back(data: bytes) -> None:
    plain = bytes(byte & 0x7F for byte in data)
    sent = with_parity(plain)
    assert without_parity(sent) == plain
    assert all(byte.bit_count() % 2 == 0 for byte in sent)
    if sent:
        damaged = bytes((sent[0] ^ 0x10,)) + sent[1:]
        assert without_parity(damaged) is None


def test_damage_that_one_check_misses_the_other_finds() -> None:
    """Up to three flipped bits in a block with parity: none passes both checks."""
    rng = random.Random(6)
    for _ in range(10_000):
        bcc, (request, reply, _) = rng.choice(READS)
        sent = bytearray(with_parity(reply))
        for at in rng.sample(range(8 * len(sent)), rng.randint(1, 3)):
            sent[at // 8] ^= 1 << at % 8
        heard = without_parity(bytes(sent))
        found = None if heard is None else block(heard, request, bcc)
        # The start is under no check: a data set has to begin with STX.
        assert found is None or found.start == 1
