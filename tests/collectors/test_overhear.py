"""RTU frames cut out of a stream from anywhere on, and said in words."""

from __future__ import annotations

from collectors.catalog import load_catalog
from collectors.crc import crc16
from collectors.overhear import Ear, Words

CATALOG = load_catalog()


def rtu(text: str) -> bytes:
    frame = bytes.fromhex(text)
    return frame + crc16(frame)


ASKED = rtu("05 04 0046 0004")
ANSWER = rtu("05 04 08 4248 0000 461C 4000")


def test_frames_are_cut_out_of_noise_in_any_pieces() -> None:
    ear = Ear()
    stream = b"\x17\x2a" + ASKED + ANSWER + b"\xff" + rtu("05 84 02")
    heard = [one for at in range(len(stream)) for one in ear.hear(stream[at : at + 1])]
    assert [one.raw for one in heard] == [b"\x17\x2a", ASKED, ANSWER, b"\xff", rtu("05 84 02")]
    assert [(one.unit, one.asks) for one in heard] == [(None, False), (5, True), (5, False), (None, False), (5, False)]


def test_silence_ends_what_never_became_a_frame() -> None:
    ear = Ear()
    assert ear.hear(ANSWER[:-1]) == []
    [left] = ear.silence()
    assert (left.raw, left.unit) == (ANSWER[:-1], None)
    assert ear.silence() == []
    assert [one.raw for one in ear.hear(ANSWER)] == [ANSWER]


def test_noise_without_end_is_not_kept() -> None:
    ear = Ear()
    told = [one for _ in range(100) for one in ear.hear(b"\xff" * 100)]
    assert sum(len(one.raw) for one in told) >= 8192


def test_an_answer_becomes_values_by_the_question_before_it() -> None:
    words = Words({5: CATALOG["eastron-sdm120"]})
    question, answer = Ear().hear(ASKED + ANSWER)
    assert words.heard(question).startswith("unit 5 is asked for 4 from 0x0046 on, function 4   [05 04 00 46")
    assert words.heard(answer).startswith("unit 5 says 1.8.0 = 10000 kWh; 14.7.0 = 50 Hz   [")
    assert words.heard(answer).startswith("unit 5 says 4248 0000 461c 4000"), "nothing was asked any more"


def test_without_a_model_the_words_are_shown() -> None:
    words = Words({})
    assert words.question(7, bytes.fromhex("03 0000 0001")) == "unit 7 is asked for 1 from 0x0000 on, function 3"
    assert words.answer(7, bytes.fromhex("03 02 1234")) == "unit 7 says 1234"
    assert words.answer(7, bytes.fromhex("83 02")) == "unit 7 refuses function 3 with exception 2"
    assert words.question(7, bytes.fromhex("06 0001 0002")) == "unit 7 is told function 6"


def test_an_answer_of_another_length_is_not_placed() -> None:
    words = Words({5: CATALOG["eastron-sdm120"]})
    words.question(5, bytes.fromhex("04 0046 0002"))
    assert words.answer(5, bytes.fromhex("04 04 4248 0000")) == "unit 5 says 14.7.0 = 50 Hz"
    words.question(5, bytes.fromhex("04 0046 0002"))
    assert words.answer(5, bytes.fromhex("04 02 4248")) == "unit 5 says 4248"


def test_a_power_factor_has_no_unit() -> None:
    words = Words({5: CATALOG["abb-b23"]})
    words.question(5, bytes.fromhex("03 5B3A 0001"))
    assert words.answer(5, bytes.fromhex("03 02 03E8")) == "unit 5 says 13.7.0 = 1"
