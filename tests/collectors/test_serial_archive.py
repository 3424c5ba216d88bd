"""Registers as of 00:00 and load profiles out of meters' memories: exact instants, fallbacks, what is not believed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from collectors.archive import Kind, Recall
from collectors.iec_data import NotThere
from collectors.link import Answer
from collectors.serial_link import SerialLink
from collectors.serial_talk import Unsupported
from ingest.errors import AmrError, Busy, Refused
from ingest.model import Polled
from simulators.events import Drift
from simulators.faults import Kind as Fault
from simulators.iec_meters import IecMeter
from simulators.memory import at_midnight
from simulators.mercury206 import Mercury206
from simulators.mercury230 import Mercury230
from tests.collectors.serial_rig import AT, Rig, polled

HERE = ZoneInfo("Europe/Samara")
HALF_HOUR = timedelta(minutes=30)


def midnight(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=HERE).astimezone(UTC)


def day(year: int, month: int, day_: int, kind: Kind = Kind.DAY) -> Recall:
    begin = midnight(year, month, day_)
    return Recall(kind, begin, begin)


def filed(one: Mercury230 | Mercury206 | IecMeter, when: date) -> dict[str, Decimal]:
    return at_midnight(one.meter, when)


def by_channel(answer: Answer) -> dict[str, Decimal]:
    return {reading.channel: reading.value for reading in answer.readings}


MERCURY = polled("mercury-234", "47000999", "5")


async def test_registers_by_date_carry_the_exact_midnight_of_the_meters_zone() -> None:
    rig = Rig()
    one = rig.mercury230()
    async with rig.link() as link:
        answer = await link.recall(MERCURY, day(2026, 9, 3))
    shown = filed(one, date(2026, 9, 3))
    assert by_channel(answer)["1.8.0"] == shown["1.8.0"]
    assert by_channel(answer)["1.8.2"] == shown["1.8.2"]
    assert by_channel(answer)["3.8.0"] == shown["3.8.0"]
    assert "2.8.0" not in by_channel(answer)
    assert {reading.taken_at for reading in answer.readings} == {datetime(2026, 9, 2, 20, tzinfo=UTC)}
    assert {reading.meter for reading in answer.readings} == {"47000999"}
    assert answer.values == {}


async def test_the_first_of_a_month_three_years_back() -> None:
    rig = Rig()
    one = rig.mercury230(facts={"since": datetime(2023, 1, 1, tzinfo=UTC)})
    async with rig.link() as link:
        answer = await link.recall(MERCURY, day(2024, 1, 1, Kind.MONTH))
        assert by_channel(answer)["1.8.0"] == filed(one, date(2024, 1, 1))["1.8.0"]
        with pytest.raises(NotThere):
            await link.recall(MERCURY, day(2023, 11, 1, Kind.MONTH))


@pytest.mark.parametrize("fault", [None, "silent"])
async def test_meters_without_dates_answer_for_today_yesterday_and_twelve_months(fault: str | None) -> None:
    rig = Rig()
    one = rig.mercury230(dated=False)
    if fault:
        # Old firmware says nothing at all to a command it does not know.
        known = one.answer
        one.answer = lambda command: known(command) if command[0] != 0x18 else None  # type: ignore[method-assign, assignment, return-value]
    async with rig.link() as link:
        for when in (date(2026, 11, 20), date(2026, 11, 19), date(2026, 11, 1), date(2025, 12, 1)):
            kind = Kind.MONTH if when.day == 1 else Kind.DAY
            answer = await link.recall(MERCURY, day(when.year, when.month, when.day, kind))
            assert by_channel(answer)["1.8.0"] == filed(one, when)["1.8.0"]
            assert len(by_channel(answer)) == 10
        with pytest.raises(NotThere):
            await link.recall(MERCURY, day(2026, 11, 18))
        with pytest.raises(NotThere):
            await link.recall(MERCURY, day(2025, 11, 1, Kind.MONTH))


async def test_answers_by_date_are_not_believed_of_a_meter_that_means_another_day() -> None:
    rig = Rig()
    one = rig.mercury230()
    said = one.answer

    def off_by_a_day(command: bytes) -> bytes:
        if command[0] == 0x18 and command[1] == 0:
            command = command[:2] + bytes((command[2] - 1,)) + command[3:]
        return said(command)

    one.answer = off_by_a_day  # type: ignore[method-assign]
    async with rig.link() as link:
        with pytest.raises(NotThere):
            await link.recall(MERCURY, day(2026, 11, 12))
        answer = await link.recall(MERCURY, day(2026, 11, 19))
        assert by_channel(answer)["1.8.0"] == filed(one, date(2026, 11, 19))["1.8.0"]
        months = await link.recall(MERCURY, day(2026, 10, 1, Kind.MONTH))
        assert by_channel(months)["1.8.0"] == filed(one, date(2026, 10, 1))["1.8.0"]


async def test_a_single_phase_meter_keeps_twelve_months() -> None:
    rig = Rig()
    one = rig.mercury206()
    meter = polled("mercury-206", "19531250", "19531250")
    async with rig.link() as link:
        for when in (date(2026, 11, 1), date(2025, 12, 1)):
            answer = await link.recall(meter, day(when.year, when.month, 1, Kind.MONTH))
            assert by_channel(answer) == {c: filed(one, when)[c] for c in ("1.8.1", "1.8.2")}
        with pytest.raises(NotThere):
            await link.recall(meter, day(2026, 11, 12))


async def test_an_iec_meter_names_days_and_months_by_their_end() -> None:
    rig = Rig()
    one = rig.iec_meter("energomera-ce303")
    meter = polled("energomera-ce303", "141628345", "141628345")
    async with rig.link() as link:
        for when, kind in (
            (date(2026, 11, 20), Kind.DAY),
            (date(2026, 10, 9), Kind.DAY),
            (date(2026, 3, 1), Kind.MONTH),
        ):
            answer = await link.recall(meter, day(when.year, when.month, when.day, kind))
            assert by_channel(answer)["1.8.0"] == filed(one, when)["1.8.0"]
        with pytest.raises(NotThere):
            await link.recall(meter, day(2026, 10, 2))
        assert (await link.recall(meter, day(2026, 11, 1, Kind.MONTH))).readings


async def test_meters_without_archives_say_so() -> None:
    rig = Rig()
    rig.iec_meter("neva-mt3xx")
    rig.modbus_unit(7)
    rig.mercury206()
    span = Recall(Kind.PROFILE, AT - timedelta(hours=3), AT)
    async with rig.link() as link:
        with pytest.raises(NotThere):
            await link.recall(polled("neva-mt3xx", "141628345", "141628345"), day(2026, 11, 1, Kind.MONTH))
        for model, address in (("eastron-sdm120", "7"), ("mercury-206", "19531250")):
            with pytest.raises(Unsupported, match=f"model {model} keeps no profile archive"):
                await link.recall(polled(model, "19531250", address), span)


async def test_a_clock_far_off_makes_its_midnights_doubtful_and_a_wild_one_makes_none() -> None:
    rig = Rig()
    one = rig.mercury230(facts={"events": (Drift(AT - timedelta(days=10), 240.0),)})
    async with rig.link() as link:
        answer = await link.recall(MERCURY, day(2026, 11, 20))
        assert answer.drift == timedelta(minutes=40)
        for reading in answer.readings:
            assert reading.captured_at == reading.taken_at - timedelta(minutes=40)
        assert by_channel(answer)["1.8.0"] == filed(one, date(2026, 11, 20))["1.8.0"]
    rig = Rig()
    rig.mercury230(facts={"events": (Drift(AT - timedelta(days=10), 6000.0),)})
    async with rig.link() as link:
        with pytest.raises(Refused, match="set it, its archives cannot be dated"):
            await link.recall(MERCURY, day(2026, 11, 20))


async def test_at_its_midnight_a_meter_is_left_alone() -> None:
    rig = Rig()
    rig.mercury230()
    async with rig.link() as link:
        for seconds in (-59, 0, 59):
            rig.clock.move(midnight(2026, 11, 21) + timedelta(seconds=seconds))
            with pytest.raises(Busy, match="about to change"):
                await link.recall(MERCURY, day(2026, 11, 21))
        rig.clock.move(midnight(2026, 11, 21) + timedelta(seconds=61))
        assert (await link.recall(MERCURY, day(2026, 11, 21))).readings


async def test_only_midnights_are_asked_for() -> None:
    rig = Rig()
    rig.mercury230()
    async with rig.link() as link:
        with pytest.raises(ValueError, match="no midnight in Europe/Samara"):
            await link.recall(MERCURY, Recall(Kind.DAY, AT, AT))


def energy(one: Mercury230, start: datetime, channel: str = "1.8.0") -> Decimal:
    return one.meter.values(start + HALF_HOUR)[channel] - one.meter.values(start)[channel]


async def profile(link: SerialLink, begin: datetime, end: datetime, meter: Polled = MERCURY) -> Answer:
    return await link.recall(meter, Recall(Kind.PROFILE, begin, end))


async def test_a_profile_is_filed_by_the_start_of_its_intervals() -> None:
    rig = Rig()
    one = rig.mercury230(constant=5000)
    begin, end = datetime(2026, 11, 18, 6, tzinfo=UTC), datetime(2026, 11, 18, 12, tzinfo=UTC)
    async with rig.link() as link:
        answer = await profile(link, begin, end)
    taken = [interval for interval in answer.intervals if interval.channel == "1.8.0"]
    assert [interval.start for interval in taken] == [begin + step * HALF_HOUR for step in range(12)]
    for interval in answer.intervals:
        assert interval.length == HALF_HOUR
        # A count is half an impulse of 5000 a kWh; the meter itself resolves 1 Wh.
        assert interval.energy == energy(one, interval.start, interval.channel)
    assert {interval.channel for interval in answer.intervals} == {"1.8.0", "3.8.0"}
    assert answer.rejects == ()


async def test_intervals_cut_short_are_rejected_and_those_without_power_are_not_there() -> None:
    off = (datetime(2026, 11, 17, 3, 10, tzinfo=UTC), datetime(2026, 11, 18, 7, 20, tzinfo=UTC))
    rig = Rig()
    rig.mercury230(off=(off,))
    begin, end = datetime(2026, 11, 17, 1, tzinfo=UTC), datetime(2026, 11, 18, 9, tzinfo=UTC)
    async with rig.link() as link:
        answer = await profile(link, begin, end)
        with pytest.raises(NotThere):
            await profile(link, datetime(2026, 11, 17, 12, tzinfo=UTC), datetime(2026, 11, 17, 18, tzinfo=UTC))
        older = await profile(link, datetime(2026, 11, 10, 6, tzinfo=UTC), datetime(2026, 11, 10, 7, tzinfo=UTC))
    starts = [interval.start for interval in answer.intervals if interval.channel == "1.8.0"]
    assert starts == [
        *(begin + step * HALF_HOUR for step in range(4)),
        *(datetime(2026, 11, 18, 7, 30, tzinfo=UTC) + step * HALF_HOUR for step in range(3)),
    ]
    assert [reject.detail for reject in answer.rejects] == ["the interval was cut short"] * 2
    assert [one.start.hour for one in older.intervals if one.channel == "1.8.0"] == [6, 6]


async def test_beyond_the_ring_there_is_nothing_however_long_it_runs() -> None:
    rig = Rig()
    rig.mercury230(ring=96)
    model = rig.three[5].profile
    assert model.count(AT) > model.size
    own = polled("mercury-234", "47000999", "5")
    async with rig.link() as link:
        answer = await profile(link, AT - timedelta(hours=6), AT, own)
        # The catalogue believes in 4096 records, this meter keeps 96: places beyond them hold nothing.
        with pytest.raises(NotThere):
            await profile(link, AT - timedelta(days=9), AT - timedelta(days=8), own)
    assert len([one for one in answer.intervals if one.channel == "1.8.0"]) == 12


async def test_a_record_of_an_earlier_lap_is_rejected_by_its_own_time() -> None:
    rig = Rig()
    one = rig.mercury230()
    newest = one.profile.last(AT)
    assert newest is not None
    stale = (newest[0] - 3) % one.profile.size
    kept = one.profile.at

    class Stale:
        def __getattr__(self, name: str) -> object:
            return getattr(profile_, name)

        def at(self, place: int, now: datetime) -> object:
            found = kept(place, now)
            if place == stale and found is not None:
                return type(found)(found.end + timedelta(hours=5), found.energy, True)
            return found

    profile_ = one.profile
    one.profile = Stale()  # type: ignore[assignment]
    async with rig.link() as link:
        answer = await profile(link, AT - timedelta(hours=5), AT)
    starts = [interval.start for interval in answer.intervals if interval.channel == "1.8.0"]
    assert len(starts) == 9
    assert datetime(2026, 11, 20, 12, 30, tzinfo=UTC) not in starts


async def test_the_wire_breaks_in_the_middle_of_a_profile() -> None:
    rig = Rig()
    one = rig.mercury230()
    async with rig.link() as link:
        one.break_with(Fault.NOISE, every=7)
        with pytest.raises(Exception, match="CRC"):
            await profile(link, AT - timedelta(hours=6), AT)
        one.mend()
        assert (await profile(link, AT - timedelta(hours=6), AT)).intervals


async def test_the_memory_of_another_meter_at_the_address_is_left_alone() -> None:
    rig = Rig()
    one = rig.mercury230(5, "47000111")
    span = Recall(Kind.PROFILE, AT - timedelta(hours=3), AT)
    async with rig.link() as link:
        for recall in (day(2026, 11, 20), span):
            with pytest.raises(AmrError, match="47000111"):
                await link.recall(MERCURY, recall)
    assert one.requests == 3
    async with rig.link(check_serial=False) as link:
        assert (await link.recall(MERCURY, day(2026, 11, 20))).readings
