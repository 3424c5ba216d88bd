"""Outages healed out of the meters' memories on a running line, beside its polls; what cannot be healed is listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from collectors.archive import Kind
from collectors.catalog import Catalog
from collectors.clock import Clock
from collectors.filling import BREATH, Backfill
from collectors.line import Owner
from collectors.lines import Lines
from collectors.link import LineDown
from collectors.looks import LOOK_AGAIN, LOOK_SELDOM, SET_ASIDE
from collectors.modbus import ModbusLink
from collectors.patience import Patience
from collectors.serial_link import SerialLink
from ingest.delivery import Delivery
from ingest.errors import StoreUnavailable
from ingest.gaps import Gap, Held, Wanted
from ingest.model import IntervalReading, Line, Polled, PolledLine, Reading
from simulators.clock import Clock as SimulatedClock
from simulators.faults import Kind as Fault
from simulators.memory import at_midnight
from tests.collectors.modbus_rig import Remembering
from tests.collectors.serial_rig import CATALOG as SHIPPED
from tests.collectors.serial_rig import PERIOD, ZONE, Rig, polled

CATALOG = Catalog(dict(SHIPPED), {**SHIPPED.serial, "no-profile": replace(SHIPPED.serial["mercury-230"], profile=None)})
HALF = timedelta(minutes=30)
BEGIN = datetime(2026, 10, 27, 8, 10, tzinfo=UTC)
END = datetime(2026, 11, 5, 9, 5, tzinfo=UTC)
FOUR = timedelta(hours=4)


class Following(Clock):
    """The poller's clock: the simulators' own."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock.factor)
        self._simulated = clock

    def now(self) -> datetime:
        return self._simulated.now()


@dataclass(slots=True)
class MemoryShelf:
    """A store of nothing but what the door was given, as the protocol wants it told."""

    door: Remembering
    since: dict[str, datetime]
    told: dict[str, tuple[Gap, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: bool = False

    async def held(self, meter: str, wanted: Wanted) -> Held:
        self.asked.append(meter)
        if self.broken:
            raise StoreUnavailable("the database is away")
        stored = self.readings(meter)
        instants = {reading.taken_at for reading in stored}
        since = self.since.get(meter)
        polls = sorted(at for at in instants if wanted.since <= at)
        steps = pairwise([max(since or wanted.since, wanted.since), *polls])
        return Held(
            since,
            [at for at in wanted.midnights if at in instants],
            {one.start for one in self.intervals(meter)},
            [step for step in steps if wanted.apart and step[1] - step[0] > wanted.apart],
            polls[-1] if polls else None,
        )

    async def lost(self, meter: str, gaps: Sequence[Gap], looked: Wanted) -> None:
        self.told[meter] = tuple(gaps)

    def readings(self, meter: str) -> list[Reading]:
        return [one for delivery in self.door.deliveries for one in delivery.readings if one.meter == meter]

    def intervals(self, meter: str) -> list[IntervalReading]:
        return [one for delivery in self.door.deliveries for one in delivery.intervals if one.meter == meter]

    def midnights(self, meter: str) -> dict[datetime, Decimal]:
        return {
            one.taken_at: one.value
            for delivery in self.archived()
            for one in delivery.readings
            if one.meter == meter and one.channel in ("1.8.0", "1.8.1")
        }

    def archived(self) -> list[Delivery]:
        return [delivery for delivery in self.door.deliveries if delivery.origin.startswith("archive:")]


@asynccontextmanager
async def polling(
    rig: Rig, meters: Sequence[Polled], shelf: MemoryShelf, line: Line, share: float = 1.0
) -> AsyncIterator[Backfill]:
    """The line's owner at work."""
    link = SerialLink(line, CATALOG, rig.clock.now)
    backfill = Backfill(line, CATALOG, shelf, rig.clock.now, share=share)
    owner = Owner(line, link, shelf.door, Following(rig.clock), Patience(retry=1.0), spare=backfill)
    owner.update(meters)
    running = asyncio.create_task(owner.run())
    try:
        yield backfill
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - nobody announces that a store has become whole
            await asyncio.sleep(0.02)


def halves(begin: datetime, end: datetime) -> list[datetime]:
    first = begin + (HALF - (begin - datetime(2026, 1, 1, tzinfo=UTC)) % HALF) % HALF
    return [first + step * HALF for step in range((end - first) // HALF)]


def midnights(begin: datetime, end: datetime) -> list[datetime]:
    first = datetime(begin.year, begin.month, begin.day, 20, tzinfo=UTC)
    return [first + timedelta(days=step) for step in range(40) if begin < first + timedelta(days=step) <= end]


async def test_days_of_silence_are_healed_and_the_rest_is_listed_exactly() -> None:
    """Thirty of them, into a real store: tests/test_outage.py."""
    rig = Rig(SimulatedClock(END, factor=300))
    dated = rig.mercury230(1, "47000001")
    rig.mercury230(2, "47000002", dated=False)
    slices, unit = rig.mercury206("19531250"), rig.modbus_unit(20)
    meters = [
        polled("mercury-234", "47000001", "1"),
        polled("no-profile", "47000002", "2"),
        polled("mercury-206", "19531250", "19531250"),
        Polled(unit.meter.serial, "eastron-sdm120", "20", PERIOD, ZONE),
    ]
    door = Remembering()
    shelf = MemoryShelf(door, {meter.serial: BEGIN for meter in meters})
    wanted_halves, wanted_midnights = halves(BEGIN, END - HALF), midnights(BEGIN, END)
    assert (len(wanted_halves), len(wanted_midnights)) == (432, 9)
    async with rig.line(baud=115200) as line, polling(rig, meters, shelf, line):
        await until(
            lambda: (
                set(wanted_halves) <= {one.start for one in shelf.intervals("47000001")}
                and len(shelf.midnights("19531250")) == 1
            )
        )
        shelf.asked.clear()
        rig.clock.move(rig.clock.now() + LOOK_SELDOM)
        await until(lambda: {meter.serial for meter in meters} <= set(shelf.asked))
    taken = {one.start: one.energy for one in shelf.intervals("47000001") if one.channel == "1.8.0"}
    begin, end = wanted_halves[0], wanted_halves[-1] + HALF
    total = dated.meter.values(end)["1.8.0"] - dated.meter.values(begin)["1.8.0"]
    assert sum(taken[at] for at in wanted_halves) == total
    filed = shelf.midnights("47000001")
    assert set(wanted_midnights) <= set(filed)
    for at in wanted_midnights:
        assert filed[at] in (at_midnight(dated.meter, (at + FOUR).date())[c] for c in ("1.8.0", "1.8.1"))
    first_of_month, kept = datetime(2026, 10, 31, 20, tzinfo=UTC), wanted_midnights[-2:]
    assert set(shelf.midnights("47000002")) == {first_of_month, *kept}
    gone = [at for at in wanted_midnights if at not in (first_of_month, *kept)]
    assert [gap for gap in shelf.told["47000002"] if gap.what == "day"] == [
        Gap(at, at, "day", "too_old") for at in gone
    ]
    assert set(shelf.midnights("19531250")) == {first_of_month}
    assert (
        shelf.midnights("19531250")[first_of_month]
        == at_midnight(slices.meter, (first_of_month + FOUR).date())["1.8.1"]
    )
    assert shelf.told["19531250"][:2] == (
        Gap(BEGIN, first_of_month, "polls", "no_memory"),
        Gap(first_of_month, first_poll(shelf, "19531250"), "polls", "no_memory"),
    )
    assert shelf.told[unit.meter.serial][0] == Gap(BEGIN, first_poll(shelf, unit.meter.serial), "polls", "no_memory")
    assert shelf.told["47000001"] == ()


def first_poll(shelf: MemoryShelf, serial: str) -> datetime:
    return min(
        one.taken_at for delivery in shelf.door.polls(serial) for one in delivery.readings if one.taken_at >= END
    )


async def test_a_restart_goes_on_where_it_was() -> None:
    rig = Rig(SimulatedClock(END, factor=60))
    rig.mercury230(1, "47000001")
    meters = [polled("mercury-234", "47000001", "1")]
    shelf = MemoryShelf(Remembering(), {"47000001": END - timedelta(days=5)})
    async with rig.line(baud=115200) as line:
        async with polling(rig, meters, shelf, line):
            await until(lambda: len(shelf.archived()) >= 8)
        done = len(shelf.archived())
        async with polling(rig, meters, shelf, line):
            await until(
                lambda: set(halves(END - timedelta(days=5), END)) <= {one.start for one in shelf.intervals("47000001")}
            )
    assert done < len(shelf.archived())
    starts = [one.start for one in shelf.intervals("47000001") if one.channel == "1.8.0"]
    assert len(starts) == len(set(starts))


async def test_polls_go_first_and_a_question_needs_room_before_the_next_one() -> None:
    rig = Rig()
    rig.mercury230(1, "47000001")
    meters = [polled("mercury-234", "47000001", "1")]
    now = rig.clock.now()
    shelf = MemoryShelf(Remembering(), {"47000001": now - timedelta(days=2)})
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        assert await backfill.use(link, meters, now + timedelta(seconds=1)) is None
        assert rig.three[1].requests == 0
        assert backfill.ready_at == now + BREATH
        first = await backfill.use(link, meters, now + timedelta(minutes=5))
        assert first is not None
        assert first.origin == "archive:tp-7/1"
        assert first.readings[0].taken_at == datetime(2026, 11, 18, 20, tzinfo=UTC)
        assert first.contacts == ()


async def test_only_meters_that_answer_are_asked() -> None:
    rig = Rig()
    rig.mercury230(1, "47000001")
    shelf = MemoryShelf(Remembering(), {"47000001": BEGIN})
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        assert await backfill.use(link, [], None) is None
        assert shelf.asked == []
        assert backfill.ready_at == rig.clock.now() + LOOK_AGAIN


async def test_half_of_the_spare_time_stays_silent() -> None:
    rig = Rig(SimulatedClock(END, factor=1))
    rig.mercury230(1, "47000001")
    shelf = MemoryShelf(Remembering(), {"47000001": BEGIN})
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now, share=0.5)
        began = rig.clock.now()
        await backfill.use(link, [polled("mercury-234", "47000001", "1")], None)
        ended = rig.clock.now()
        assert backfill.ready_at is not None
        assert backfill.ready_at - ended > (ended - began) / 2
    with pytest.raises(ValueError, match="share 0"):
        Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, share=0)


async def test_a_meter_that_answers_badly_is_set_aside_and_a_lost_line_is_told() -> None:
    rig = Rig()
    one = rig.mercury230(1, "47000001")
    meters = [polled("mercury-234", "47000001", "1")]
    shelf = MemoryShelf(Remembering(), {"47000001": BEGIN})
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        one.break_with(Fault.NOISE)
        assert await backfill.use(link, meters, None) is None
        assert await backfill.use(link, meters, None) is None
        assert backfill.ready_at == rig.clock.now() + SET_ASIDE
        rig.clock.move(rig.clock.now() + SET_ASIDE)
        one.break_with(Fault.DISCONNECT)
        with pytest.raises(LineDown):
            await backfill.use(link, meters, None)
        one.mend()
        await link.open()
        assert await backfill.use(link, meters, None) is not None


async def test_without_the_store_nothing_is_asked_and_nothing_breaks() -> None:
    rig = Rig()
    one = rig.mercury230(1, "47000001")
    meters = [polled("mercury-234", f"4700000{n}", str(n)) for n in (1, 2)]
    shelf = MemoryShelf(Remembering(), {"47000001": BEGIN}, broken=True)
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        assert await backfill.use(link, meters, None) is None
        assert one.requests == 0
        assert len(shelf.asked) == 1
        shelf.broken = False
        rig.clock.move(rig.clock.now() + SET_ASIDE)
        assert await backfill.use(link, meters, None) is not None


async def test_what_the_meter_does_not_keep_is_asked_once_and_told() -> None:
    rig = Rig()
    off = (datetime(2026, 11, 19, 3, 10, tzinfo=UTC), datetime(2026, 11, 19, 7, 20, tzinfo=UTC))
    rig.mercury230(1, "47000001", off=(off,))
    now = rig.clock.now()
    meters = [polled("mercury-234", "47000001", "1")]
    door = Remembering()
    shelf = MemoryShelf(door, {"47000001": now - timedelta(days=2)})
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now, share=1.0)
        for _ in range(20):
            if delivery := await backfill.use(link, meters, None):
                door.deliveries.append(delivery)
        rig.clock.move(now + LOOK_AGAIN)
        await backfill.use(link, meters, None)
        requests = rig.three[1].requests
        assert shelf.told["47000001"] == (
            Gap(
                datetime(2026, 11, 19, 3, tzinfo=UTC), datetime(2026, 11, 19, 7, 30, tzinfo=UTC), "profile", "not_kept"
            ),
        )
        rig.clock.move(now + timedelta(hours=1, minutes=10))
        await backfill.use(link, meters, None)
        assert rig.three[1].requests - requests < 40
    kinds = [delivery.readings[0].taken_at for delivery in door.deliveries if delivery.readings]
    assert kinds == [datetime(2026, 11, 18, 20, tzinfo=UTC), datetime(2026, 11, 19, 20, tzinfo=UTC)]


async def test_silences_of_a_modbus_tcp_line_are_told_and_nothing_is_asked() -> None:
    rig = Rig()
    now = rig.clock.now()
    shelf = MemoryShelf(Remembering(), {"11000001": now - timedelta(days=2)})
    line = Line("tp-1", "modbus-tcp", "127.0.0.1:1")
    backfill = Backfill(line, CATALOG, shelf, rig.clock.now)
    meters = [Polled("11000001", "eastron-sdm120", "1", PERIOD, ZONE)]
    assert await backfill.use(ModbusLink(line, CATALOG), meters, None) is None
    assert shelf.told["11000001"] == (Gap(now - timedelta(days=2), now, "polls", "no_memory"),)
    assert backfill.ready_at == now + LOOK_SELDOM


async def test_a_slow_store_holds_no_poll_up() -> None:
    rig = Rig()
    rig.mercury230(1, "47000001")
    opened = asyncio.Event()

    class Slow(MemoryShelf):
        async def held(self, meter: str, wanted: Wanted) -> Held:
            await opened.wait()
            return await super().held(meter, wanted)

    shelf = Slow(Remembering(), {"47000001": rig.clock.now() - timedelta(days=2)})
    meters = [polled("mercury-234", "47000001", "1")]
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        assert await backfill.use(link, meters, None) is None
        assert backfill.ready_at == rig.clock.now() + BREATH
        assert await backfill.use(link, meters, None) is None
        assert rig.three[1].requests == 0
        opened.set()
        await asyncio.sleep(0)
        assert await backfill.use(link, meters, None) is not None


async def test_what_the_store_does_not_keep_is_given_up_after_the_second_time() -> None:
    rig = Rig()
    rig.mercury230(1, "47000001")
    now = rig.clock.now()
    shelf = MemoryShelf(Remembering(), {"47000001": now - timedelta(hours=20)})
    meters = [polled("mercury-234", "47000001", "1")]
    came = 0
    async with rig.link() as link:
        backfill = Backfill(Line("tp-7", "serial", "x"), CATALOG, shelf, rig.clock.now)
        for seconds in range(0, 180, 10):
            rig.clock.move(now + timedelta(seconds=seconds))
            came += await backfill.use(link, meters, None) is not None
    assert came == 2 * 5
    midnight, begin = datetime(2026, 11, 19, 20, tzinfo=UTC), datetime(2026, 11, 19, 19, tzinfo=UTC)
    assert shelf.told["47000001"] == (
        Gap(begin, datetime(2026, 11, 20, 14, 30, tzinfo=UTC), "profile", "not_stored"),
        Gap(midnight, midnight, "day", "not_stored"),
    )


async def test_lines_give_their_spare_time_away() -> None:
    rig = Rig(SimulatedClock(END, factor=60))
    rig.mercury230(1, "47000001")
    door = Remembering()
    shelf = MemoryShelf(door, {"47000001": END - timedelta(days=2)})

    def spare(line: Line) -> Backfill:
        return Backfill(line, CATALOG, shelf, rig.clock.now)

    def link(line: Line) -> SerialLink:
        return SerialLink(line, CATALOG, rig.clock.now)

    async with rig.line(baud=115200) as line, Lines(door, link, Following(rig.clock), make_spare=spare) as lines:
        await lines.update([PolledLine(line, (polled("mercury-234", "47000001", "1"),))])
        await until(lambda: len(shelf.midnights("47000001")) == 2)
        assert door.contacts("47000001")[0].failure is None
    assert Kind.DAY.value == "day"
