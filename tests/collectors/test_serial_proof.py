"""What must hold of serial meters whatever the line does: recorded traffic byte for byte, and nothing out of damage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from collectors.bus import Bus
from collectors.catalog import Catalog
from collectors.line import Owner
from collectors.line_settings import settings_of
from collectors.link import LineDown
from collectors.patience import Patience
from collectors.serial_link import SerialLink
from ingest.errors import AmrError
from ingest.model import Line, Polled
from simulators.framing import Reply, Station, crc16
from simulators.mercury_packing import signed
from simulators.modbus import ModbusServer
from simulators.replay import Replay
from tests.collectors.modbus_rig import Remembering
from tests.collectors.recorded import exchanges
from tests.collectors.serial_rig import AT, CATALOG, PERIOD, QUICK, ZONE, Rig, polled, truth


class Scripted:
    """A line on which only what was recorded may be said, in that order."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.server = ModbusServer({}, kind="rtu-over-tcp", station=lambda: replay)

    async def link(self, catalog: Catalog, **options: object) -> SerialLink:
        await self.server.start()
        line = Line(
            "tp-7", "serial-over-tcp", f"127.0.0.1:{self.server.port}", {**QUICK, "check_serial": False, **options}
        )
        link = SerialLink(line, catalog, lambda: AT)
        await link.open()
        return link

    async def close(self, link: SerialLink) -> None:
        await link.close()
        await self.server.stop()
        self.replay.silence()
        assert self.replay.unexpected == b""
        assert self.replay.done


def only(slug: str, sends: list[str]) -> Catalog:
    """The catalogue with one model narrowed to these questions, without clock and serial number of IEC meters."""
    model = CATALOG.serial[slug]
    asks = tuple(ask for send in sends for ask in model.asks if ask.send == send)
    return Catalog({}, {slug: replace(model, asks=asks, archives=(), serial=None, date=None, time=None)})


async def test_recorded_ce102m_session_to_the_last_byte() -> None:
    end = bytes.fromhex("01 42 30 03 75")
    recorded = [(one.request, one.reply) for one in exchanges("energomera_ce102m")]
    energy, current, frequency, voltage = recorded[3:]
    script = [*recorded[:3], energy, energy, current, frequency, voltage, (end, b"")]
    scripted = Scripted(Replay(script))
    link = await scripted.link(only("energomera-ce102m", ["ET0PE()", "CURRE()", "FREQU()", "VOLTA()"]), data_bits=7)
    answer = await link.read(polled("energomera-ce102m", "141628345", "141628345"))
    await asyncio.sleep(0.05)
    await scripted.close(link)
    assert dict(answer.values) == {
        "1.8.0": Decimal("68.42"),
        "1.8.1": Decimal("45.54"),
        "1.8.2": Decimal("22.88"),
        "1.8.3": Decimal(0),
        "1.8.4": Decimal(0),
        "31.7.0": Decimal("0.402"),
        "14.7.0": Decimal("49.97"),
        "32.7.0": Decimal("237.58"),
    }


async def test_recorded_neva_session_to_the_last_byte() -> None:
    end = bytes.fromhex("01 42 30 03 71")
    recorded = [(one.request, one.reply) for one in exchanges("neva_mt324")]
    power, reactive, energy = recorded[3], recorded[6], recorded[7]
    script = [*recorded[:3], energy, energy, reactive, reactive, power, (end, b"")]
    scripted = Scripted(Replay(script))
    link = await scripted.link(only("neva-mt3xx", ["0F0880FF()", "030880FF()", "100700FF()"]), data_bits=7)
    answer = await link.read(polled("neva-mt3xx", "00000201", "00000201"))
    await asyncio.sleep(0.05)
    await scripted.close(link)
    assert answer.values["1.8.1"] == Decimal("31.14")
    assert answer.values["1.7.0"] == Decimal("5.3")
    assert "3.8.0" not in answer.values
    assert [reject.reason for reject in answer.rejects] == ["unsupported_register"]


def crc(text: str) -> bytes:
    return signed(bytes.fromhex(text))


async def test_recorded_three_phase_session_to_the_last_byte() -> None:
    recorded = [(one.request, one.reply) for one in exchanges("mercury230")]
    serial = (crc("00 08 00"), crc("00 2F 00 09 63 01 02 18"))
    clock = (crc("00 04 00"), crc("00 00 40 18 05 20 11 26 01"))
    scripted = Scripted(Replay([recorded[0], serial, recorded[1], recorded[2], clock]))
    link = await scripted.link(only("mercury-230", ["05 00 00", "05 60 00"]))
    answer = await link.read(polled("mercury-230", "47000999", "0"))
    await scripted.close(link)
    assert dict(answer.values) == {
        "1.8.0": Decimal("3196.200"),
        "3.8.0": Decimal("300.444"),
        "21.8.0": Decimal("3196.201"),
        "41.8.0": Decimal("3145.769"),
        "61.8.0": Decimal("300.445"),
    }
    assert answer.drift == timedelta()


async def test_recorded_single_phase_session_to_the_last_byte() -> None:
    recorded = [(one.request, one.reply) for one in exchanges("mercury206")]
    serial = (crc("FE 12 34 56 2F"), crc("FE 12 34 56 2F FE 12 34 56"))
    clock = (crc("FE 12 34 56 21"), crc("FE 12 34 56 21 05 18 40 00 20 11 26"))
    scripted = Scripted(Replay([serial, *recorded, clock]))
    link = await scripted.link(CATALOG)
    answer = await link.read(polled("mercury-206", "4262605910", "0xFE123456"))
    await scripted.close(link)
    assert answer.values["1.8.3"] == Decimal("111.11")
    assert answer.values["1.7.0"] == 765432


async def test_a_script_fails_on_any_other_byte() -> None:
    recorded = [(one.request, one.reply) for one in exchanges("mercury230")]
    scripted = Scripted(Replay(recorded[:1]))
    link = await scripted.link(only("mercury-230", ["05 00 00"]))
    with pytest.raises(AmrError):
        await link.read(polled("mercury-230", "47000999", "0"))
    with pytest.raises(AssertionError):
        await scripted.close(link)


class Damaging:
    """A station whose answers are damaged on the way, one in eight."""

    def __init__(self, station: Station, rng: random.Random) -> None:
        self._station = station
        self._rng = rng
        self.share = 0.0
        self.damaged = 0

    def hear(self, data: bytes) -> list[Reply]:
        replies = self._station.hear(data)
        return [Reply(self._damage(one.frame)) if self._rng.random() < self.share else one for one in replies]

    def silence(self) -> None:
        self._station.silence()

    def _damage(self, frame: bytes) -> bytes:
        """Damage that 16 bits of CRC can tell; one in 65 536 cannot be told by anybody."""
        self.damaged += 1
        while crc16(spoilt := self._spoilt(frame)) == 0 or spoilt == frame:
            pass
        return spoilt

    def _spoilt(self, frame: bytes) -> bytes:
        rng, spoilt = self._rng, bytearray(frame)
        match rng.randrange(5):
            case 0:
                for _ in range(rng.randint(1, 6)):
                    spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            case 1:
                del spoilt[rng.randrange(len(spoilt)) :]
            case 2:
                del spoilt[rng.randrange(len(spoilt))]
            case 3:
                spoilt.insert(rng.randrange(1, len(spoilt) + 1), rng.randrange(256))
            case 4:
                spoilt = bytearray(rng.randbytes(len(spoilt)))
        return bytes(spoilt)


@contextmanager
def wire_of(link: SerialLink, station: Station) -> Iterator[None]:
    """The far end at once in place of a wire: ten thousand questions without waiting for any of them."""
    bus = Bus.ask

    async def ask(self: Bus, who: object, request: bytes, find: object, verdict: object, *_: object) -> object:
        heard = b"".join(reply.frame for reply in station.hear(request))
        station.silence()
        if (found := find(heard)) is not None:  # type: ignore[operator]
            return found
        raise verdict(heard) or LineDown("nothing came")  # type: ignore[operator]

    async def send(self: Bus, request: bytes, pause: float) -> None:
        station.hear(request)

    patch = pytest.MonkeyPatch()
    patch.setattr(Bus, "ask", ask)
    patch.setattr(Bus, "send", send)
    try:
        yield
    finally:
        patch.undo()
        assert Bus.ask is bus


@pytest.mark.parametrize(
    ("model", "address"),
    [("mercury-230", "5"), ("mercury-206", "19531250"), ("energomera-ce303", "9"), ("neva-mt3xx", "8")],
)
async def test_ten_thousand_damaged_frames_and_not_one_wrong_value(model: str, address: str) -> None:
    rig = Rig()
    rig.mercury230(5, "19531250")
    rig.mercury206("19531250")
    rig.iec_meter("energomera-ce303", "19531250", address="9")
    rig.iec_meter("neva-mt3xx", "19531250", address="8")
    station = Damaging(rig.station(), random.Random(f"{model} 2026"))
    meter = polled(model, "19531250", address)
    link = SerialLink(Line("tp-7", "serial-over-tcp", "h:1", QUICK), CATALOG, rig.clock.now)
    taken, failed = 0, 0
    with wire_of(link, station):
        truly = await link.read(meter)
        station.share = 0.125
        while station.damaged < 10_000:
            try:
                answer = await link.read(meter)
            except AmrError:
                failed += 1
                for sleeping in rig.iec:
                    sleeping.forget()
            else:
                taken += 1
                assert (answer.values, answer.serial, answer.drift) == (truly.values, truly.serial, truly.drift)
    assert taken > 100
    assert failed > 1000


async def test_ten_mercury_and_ten_modbus_meters_share_a_line() -> None:
    rig = Rig()
    three = {f"4700{n:04d}": rig.mercury230(100 + n, f"4700{n:04d}") for n in range(7)}
    single = {f"1953{n:04d}": rig.mercury206(f"1953{n:04d}") for n in range(3)}
    # A single-phase address begins with 01: a Modbus unit 1 would hear its frames as questions of its own.
    units = {f"{11_000_000 + n}": rig.modbus_unit(n) for n in range(20, 30)}
    meters = [
        *(polled("mercury-230", serial, str(100 + n)) for n, serial in enumerate(three)),
        *(polled("mercury-206", serial, serial) for serial in single),
        *(Polled(serial, "eastron-sdm120", str(int(serial) - 11_000_000), PERIOD, ZONE) for serial in units),
    ]
    door = Remembering()
    async with rig.line(baud=38400) as line:
        link = SerialLink(line, CATALOG, rig.clock.now)
        owner = Owner(line, link, door, patience=Patience(retry=0.1))
        owner.update(meters)
        running = asyncio.create_task(owner.run())
        await door.until(lambda d: all(d.polls(meter.serial) for meter in meters))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    for serial, one in (three | single).items():
        got = {reading.channel: reading.value for reading in door.polls(serial)[0].readings}
        assert got["1.8.1"] == truth(one)["1.8.1"]
        assert ("1.8.0" in got) == (serial in three)
    for serial, unit in units.items():
        got = {reading.channel: reading.value for reading in door.polls(serial)[0].readings}
        assert got["1.8.0"] == unit.meter.values(AT)["1.8.0"]
    assert [contact.failure for meter in meters for contact in door.contacts(meter.serial)] == [None] * 20
    spoken = {"mercury-230": "mercury-230", "mercury-206": "mercury-206", "eastron-sdm120": "modbus"}
    for meter in meters:
        assert door.polls(meter.serial)[0].origin == f"{spoken[meter.model]}:tp-7/{meter.address}"


def test_settings_of_every_serial_kind() -> None:
    for kind, address in (("serial", "/dev/ttyS0"), ("serial-over-tcp", "h:1"), ("rfc2217", "h:1")):
        assert settings_of(Line("l", kind, address)).character > 0
