"""Simulated Меркурий meters: recorded bytes reproduced, sessions, passwords, archives, faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from simulators.clock import Clock
from simulators.events import Drift
from simulators.faults import Kind
from simulators.framing import Reply
from simulators.memory import Profile, at_midnight, true_instant
from simulators.mercury206 import Mercury206
from simulators.mercury230 import Mercury230
from simulators.mercury_packing import energy, signed, three
from simulators.mercury_station import MercuryStation
from simulators.meter import Meter
from simulators.shape import load
from tests.collectors.recorded import exchanges

AT = datetime(2026, 11, 20, 14, 40, tzinfo=UTC)
OPEN = bytes.fromhex("01 01 01 01 01 01 01 01")
WH = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fixed(Meter):
    """A meter that shows what it is told."""

    shown: dict[str, Decimal] = field(default_factory=dict)

    def values(self, at: datetime) -> dict[str, Decimal]:
        return dict(self.shown)


def fixed(serial: str = "47000999", **shown: str) -> Fixed:
    values = {channel.strip("_").replace("_", "."): Decimal(value) for channel, value in shown.items()}
    return Fixed(serial=serial, shape=load("a"), shown=values)


def meter(**facts: object) -> Meter:
    known: dict[str, object] = {
        "serial": "47000999",
        "shape": load("b"),
        "zones": True,
        "resolution": WH,
        "start": {"1.8.0": Decimal("1000.5")},
        "shares": {"3.8.0": Decimal("0.25")},
    }
    return Meter(**(known | facts))  # type: ignore[arg-type]


def ask(station: MercuryStation, command: str) -> bytes:
    """A command to address 5: the data of the answer."""
    (reply,) = station.hear(signed(b"\x05" + bytes.fromhex(command)))
    assert signed(reply.frame[:-2]) == reply.frame
    assert reply.frame[0] == 5
    return reply.frame[1:-2]


def line(one: Mercury230) -> MercuryStation:
    return MercuryStation({5: one})


def opened(one: Mercury230) -> MercuryStation:
    station = line(one)
    assert ask(station, OPEN.hex()) == b"\0"
    return station


def test_recorded_exchanges_of_the_three_phase_family_byte_for_byte() -> None:
    shown = fixed(
        _1_8_0="3196.200",
        _3_8_0="300.444",
        _21_8_0="3196.201",
        _41_8_0="3145.769",
        _61_8_0="300.445",
        _32_7_0="241.28",
        _31_7_0="0.069",
        _21_7_0="-5530.95",
    )
    station = MercuryStation({7: Mercury230(shown, Clock(AT, factor=0))})
    for number, (request, reply, _) in enumerate(exchanges("mercury230")):
        (said,) = station.hear(request)
        if number < 5:
            assert said.frame == reply
        else:  # the recorded meter also has the direction of its reactive power set
            assert said.frame[1:4] == bytes((reply[1] & ~0x40, *reply[2:4]))


def test_recorded_exchanges_of_the_single_phase_family_byte_for_byte() -> None:
    shown = fixed(
        _1_8_1="621.42",
        _1_8_2="208.34",
        _1_8_3="111.11",
        _1_8_4="222.22",
        _32_7_0="123.4",
        _31_7_0="56.78",
        _1_7_0="765432",
    )
    station = MercuryStation(single_phase={0xFE123456: Mercury206(shown, Clock(AT, factor=0), tariffs=4)})
    for request, reply, _ in exchanges("mercury206"):
        assert station.hear(request) == [Reply(reply)]


def test_the_makers_printed_example() -> None:
    assert energy(Decimal("2.672")) == bytes.fromhex("00 00 70 0A")
    assert three(Decimal("-5530.95"), "0.01", back=True) == bytes.fromhex("88 87 70")


def test_a_channel_opens_with_the_right_password_only_and_is_forgotten() -> None:
    clock = Clock(AT, factor=0)
    one = Mercury230(meter(), clock)
    station = line(one)
    assert ask(station, "05 00 00") == b"\x05"
    assert ask(station, "01 01 31 31 31 31 31 31") == b"\x03"
    assert ask(station, OPEN.hex()) == b"\0"
    assert len(ask(station, "05 00 00")) == 16
    clock.move(AT + timedelta(seconds=240))
    assert len(ask(station, "05 00 00")) == 16
    clock.move(AT + timedelta(seconds=481))
    assert ask(station, "05 00 00") == b"\x05"
    assert ask(station, "01 02 02 02 02 02 02 02") == b"\0"
    assert ask(station, "02") == b"\0"
    assert ask(station, "04 00") == b"\x05"


def test_registers_at_midnight_by_date_and_by_array() -> None:
    one = Mercury230(meter(), Clock(AT, factor=0))
    station = opened(one)
    today = at_midnight(one.meter, date(2026, 11, 20))
    assert ask(station, "18 00 20 11 26 00") == ask(station, "05 C0 00")
    assert ask(station, "05 C0 00")[:4] == energy(today["1.8.0"])
    assert ask(station, "05 C0 02")[:4] == energy(today["1.8.2"])
    assert ask(station, "18 00 19 11 26 00") == ask(station, "05 D0 00")
    assert ask(station, "18 01 01 11 26 00") == ask(station, "05 BB 00")
    assert ask(station, "05 BC 00")[:4] == energy(at_midnight(one.meter, date(2025, 12, 1))["1.8.0"])
    assert ask(station, "18 00 20 07 26 00") == b"\x01"
    assert ask(station, "18 00 21 11 26 00") == b"\x01"
    assert ask(station, "18 00 31 02 26 00") == b"\x01"
    assert ask(opened(Mercury230(meter(), Clock(AT, factor=0), dated=False)), "18 00 20 11 26 00") == b"\x01"


def test_what_is_not_metered_is_all_ones() -> None:
    station = opened(Mercury230(meter(shares={}), Clock(AT, factor=0)))
    assert ask(station, "05 00 00")[4:] == b"\xff" * 12


def test_a_clock_that_gains_files_too_early() -> None:
    drifting = meter(events=(Drift(AT - timedelta(days=10), 360.0),))
    instant = true_instant(drifting, datetime(2026, 11, 20))  # noqa: DTZ001
    assert instant < datetime(2026, 11, 19, 20, tzinfo=UTC) - timedelta(minutes=50)
    assert abs(drifting.clock(instant).replace(tzinfo=None) - datetime(2026, 11, 20)) < timedelta(seconds=1)  # noqa: DTZ001


def test_the_newest_record_and_those_before_it() -> None:
    one = Mercury230(meter(), Clock(AT, factor=0), constant=1000)
    station = opened(one)
    newest = ask(station, "08 13")
    assert newest[3:] == bytes.fromhex("18 30 20 11 26 1E")
    place = int.from_bytes(newest[:2], "big")
    record = ask(station, f"06 03 {place:04x} 0F")
    assert record[:7] == bytes.fromhex("00 18 30 20 11 26 1E")
    taken = one.meter.values(datetime(2026, 11, 20, 14, 30, tzinfo=UTC))["1.8.0"]
    begun = one.meter.values(datetime(2026, 11, 20, 14, 0, tzinfo=UTC))["1.8.0"]
    assert Decimal(int.from_bytes(record[7:9], "little")) / 2000 == taken - begun
    assert record[9:11] == b"\xff\xff"
    assert ask(station, f"06 03 {(place - 16) % 65536:04x} 0F")[:3] == bytes.fromhex("00 18 00")


def test_without_power_nothing_is_recorded_and_a_lap_old_record_shows() -> None:
    begin, end = datetime(2026, 11, 18, 10, 10, tzinfo=UTC), datetime(2026, 11, 19, 9, 50, tzinfo=UTC)
    whole, cut = Profile(meter(), size=96), Profile(meter(), size=96, off=((begin, end),))
    # 14:30 to 13:30 wall time the next day: 46 intervals wholly without power.
    assert whole.count(AT) - cut.count(AT) == 46
    last = cut.last(AT)
    assert last is not None
    place, newest = last
    ends = [record.end for back in range(96) if (record := cut.at((place - back) % 96, AT))]
    assert ends[0] == newest.end
    assert ends == sorted(ends, reverse=True)
    jump = ends.index(datetime(2026, 11, 19, 14, 0))  # noqa: DTZ001
    assert ends[jump + 1] == datetime(2026, 11, 18, 14, 30)  # noqa: DTZ001
    edges = [record.whole for end in ends[jump : jump + 2] for record in [cut.at(_place(cut, end), AT)] if record]
    assert edges == [False, False]


def _place(profile: Profile, end: datetime) -> int:
    return next(at for at in range(profile.size) if (record := profile.at(at, AT)) and record.end == end)


def test_month_slices_of_the_single_phase_family() -> None:
    one = Mercury206(meter(resolution=Decimal("0.01")), Clock(AT, factor=0))
    november, december = at_midnight(one.meter, date(2026, 11, 1)), at_midnight(one.meter, date(2025, 12, 1))
    said = one.answer(b"\x32\x0a")
    assert said is not None
    assert said[:4].hex() == f"{int(november['1.8.1'] * 100):08d}"
    assert said[8:] == b"\xff" * 8
    assert one.answer(b"\x32\x0f") == said
    assert (one.answer(b"\x32\x0b") or b"")[:4].hex() == f"{int(december['1.8.1'] * 100):08d}"
    assert one.answer(b"\x21") == bytes.fromhex("05 18 40 00 20 11 26")
    assert one.answer(b"\x2f") == (47000999).to_bytes(4, "big")
    assert one.answer(b"\x99") is None


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (Kind.DEAD, []),
        (Kind.DISCONNECT, [Reply(b"", closes=True)]),
        (Kind.BUSY, [Reply(signed(b"\x05\x02"))]),
        (Kind.ILLEGAL_ADDRESS, [Reply(signed(b"\x05\x01"))]),
        (Kind.WRONG_UNIT, [Reply(signed(b"\x06\x00"))]),
    ],
)
def test_faults(kind: Kind, seen: list[Reply]) -> None:
    one = Mercury230(meter(), Clock(AT, factor=0))
    one.break_with(kind)
    assert line(one).hear(signed(b"\x05" + OPEN)) == seen


def test_pieces_garbage_and_damaged_requests() -> None:
    one = Mercury230(meter(), Clock(AT, factor=0))
    request = signed(b"\x05" + OPEN)
    station = line(one)
    assert [reply for byte in request for reply in station.hear(bytes((byte,)))] == [Reply(signed(b"\x05\x00"))]
    assert station.hear(b"\x05\x01\x33" + request) == [Reply(signed(b"\x05\x00"))]
    assert station.hear(request[:-1] + b"\x00") == []
    station.silence()
    assert station.hear(request) == [Reply(signed(b"\x05\x00"))]
