"""The commissioning kit for meters with protocols of their own: read one, find who is there, watch the frames."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from collectors.bus import Bus
from collectors.catalog import Catalog
from collectors.iec_frames import Bcc, Greeting, command, greeting, sign_on, with_parity, without_parity
from collectors.line_settings import settings_of
from collectors.link import Answer, LineDown, Silent
from collectors.masking import shown
from collectors.mercury_frames import frame_230
from collectors.serial_link import SerialLink
from ingest.errors import AmrError, Busy, Malformed, Refused
from ingest.model import Line, Polled

_Answer = TypeVar("_Answer")
Tell = Callable[[str], None]
PERIOD = timedelta(minutes=30)
_CLOCK = b"\x04\x00"
"""Asked of an address to see whether anybody is there: a closed channel answers with a status, without a password."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody answered: how it is addressed, what it says of itself, and which models that may be."""

    address: str
    said: str
    models: tuple[str, ...]


class WatchedBus(Bus):
    """A bus that tells each question and what came of it, passwords hidden."""

    def __init__(self, line: Line, tell: Tell) -> None:
        super().__init__(line.name, settings_of(line))
        self._tell = tell

    async def ask(
        self,
        who: Hashable,
        request: bytes,
        find: Callable[[bytes], _Answer | None],
        verdict: Callable[[bytes], AmrError | None],
        patience: float,
        pause: float,
    ) -> _Answer:
        """Ask, and tell of it."""
        heard = b""

        def keeping(data: bytes) -> _Answer | None:
            nonlocal heard
            heard = data
            return find(data)

        self._tell(f"→ {who}   [{shown(request)}]")
        try:
            answer = await super().ask(who, request, keeping, verdict, patience, pause)
        except AmrError as error:
            self._tell(f"× {error}")
            raise
        self._tell(f"← {who}   [{shown(heard)}]")
        return answer

    async def send(self, request: bytes, pause: float) -> None:
        """Say what nobody answers, and tell of it."""
        self._tell(f"→ everybody   [{shown(request)}]")
        await super().send(request, pause)


async def read_once(link: SerialLink, meter: Polled) -> tuple[Answer, dict[str, str]]:
    """Open the line, read the meter whole and what it says of itself, hang up."""
    try:
        await link.open()
        return await link.read(meter), await link.facts(meter)
    finally:
        await link.close()


async def scan_mercury(line: Line, addresses: Iterable[int], catalog: Catalog, tell: Tell) -> AsyncIterator[Seen]:
    """Who of the three-phase family answers at which address, and its serial number where a default password fits."""
    bus = Bus(line.name, settings_of(line))
    await bus.open()
    try:
        for address in addresses:
            if not 1 <= address <= 240:
                continue
            tell(f"Меркурий {address}")
            if await _answers(bus, address):
                link = SerialLink(line, catalog, bus=bus)
                yield await _seen(link, address)
    finally:
        bus.close()


async def _answers(bus: Bus, address: int) -> bool:
    frame = frame_230(address, _CLOCK, 8)

    def verdict(heard: bytes) -> AmrError | None:
        status = frame.status(heard)
        return frame.verdict(heard) if status is None else Refused(f"status {status}")

    patience = (bus.settings.timeout or 0.2) + bus.settings.frame_time(8)
    try:
        await bus.ask(
            f"Меркурий {address}", frame.request, frame.answer, verdict, patience, bus.settings.frame_pause(0.0)
        )
    except (Refused, Busy):
        return True
    except LineDown:
        raise
    except (Silent, Malformed):
        return False
    return True


async def _seen(link: SerialLink, address: int) -> Seen:
    models = tuple(slug for slug, model in link.catalog.serial.items() if model.tongue.value == "mercury-230")
    try:
        facts = await link.facts(Polled(f"Меркурий {address}", "mercury-230", str(address), PERIOD))
    except LineDown:
        raise
    except AmrError as error:
        return Seen(str(address), f"answers, but: {error}", models)
    return Seen(str(address), ", ".join(f"{name} {value}" for name, value in facts.items()), models)


async def scan_iec(line: Line, catalog: Catalog, tell: Tell, address: str = "") -> AsyncIterator[Seen]:
    """The one meter on the line that greets, or the one with this address: several at once cannot be told apart."""
    bus = Bus(line.name, settings_of(line))
    await bus.open()
    tell("IEC 62056-21")
    try:
        said = await _greeted(bus, address)
        if said is not None:
            models = tuple(slug for slug, model in catalog.serial.items() if model.tongue.value == "iec-62056-21")
            likely = tuple(slug for slug in models if _alike(slug, said)) or models
            yield Seen(address or "(any)", f"{said.maker} {said.name}, {said.baud or 'unknown'} baud", likely)
    finally:
        bus.close()


async def _greeted(bus: Bus, address: str) -> Greeting | None:
    seven = bus.settings.data_bits == 7

    def find(heard: bytes) -> Greeting | None:
        plain = heard if seven else without_parity(heard)
        return None if plain is None else greeting(plain)

    def code(frame: bytes) -> bytes:
        return frame if seven else with_parity(frame)

    patience = max(bus.settings.timeout or 0.0, 1.0) + bus.settings.frame_time(40)
    try:
        said = await bus.ask("IEC", code(sign_on(address)), find, lambda _: None, patience, 0.0)
    except LineDown:
        raise
    except AmrError:
        return None
    for bcc in Bcc:
        await bus.send(code(command("B0", None, bcc)), 0.1)
    return said


def _alike(slug: str, said: Greeting) -> bool:
    """CE102Mv01 is energomera-ce102m; NEVAMT324 is neva-mt3xx."""
    name = said.name.lower()
    return any(part in name for part in slug.split("-")[1:] if part.startswith("ce")) or (
        slug.startswith("neva") and name.startswith("neva")
    )
