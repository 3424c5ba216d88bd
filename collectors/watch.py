"""A line watched: frames as they go, while we ask, or only listened to where somebody else asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from collectors.catalog import Catalog
from collectors.crc import crc16
from collectors.line_settings import LineKind, LineSettings, settings_of, unit_of_meter
from collectors.link import LineDown, Link, not_reached
from collectors.masking import shown
from collectors.meter_model import Model
from collectors.modbus import ModbusLink
from collectors.modbus_frames import Question
from collectors.overhear import Ear, Words
from collectors.serial_port import open_port
from ingest.errors import AmrError, Misconfigured
from ingest.model import Line, Polled

_PAUSE = 0.05
"""So much silence ends whatever was under way."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

Tell = Callable[[str], None]


class WatchedLink(ModbusLink):
    """A link that tells each question and what came of it."""

    def __init__(self, line: Line, catalog: Catalog, words: Words, tell: Tell) -> None:
        super().__init__(line, catalog)
        self._words = words
        self._tell = tell

    async def exchange(self, question: Question, timeout: float, pause: float) -> bytes:
        """Ask, and tell of it."""
        unit = question.unit
        self._tell(f"→ {self._words.question(unit, question.pdu)}   [{question.pdu.hex(' ')}]")
        try:
            pdu = await super().exchange(question, timeout, pause)
        except AmrError as error:
            self._tell(f"× {error}")
            raise
        self._tell(f"← {self._words.answer(unit, pdu)}   [{pdu.hex(' ')}]")
        return pdu


class Eavesdropper:
    """Puts into words what is heard of a line that its owner polls (see `link.Overhearing`)."""

    def __init__(self, kind: LineKind, models: Mapping[int, Model], tell: Tell) -> None:
        self._kind = kind
        self._words = Words(models)
        self._tell = tell
        self._modbus_only = kind in (LineKind.TCP, LineKind.RTU, LineKind.RTU_OVER_TCP, LineKind.ASCII)
        self._units = frozenset(models)

    def hear(self, sign: str, data: bytes) -> None:
        """One piece of what goes over the line."""
        if sign == "×":
            self._tell(f"{sign} {data.decode(errors='replace')}")
            return
        unit, pdu = self._opened(data)
        said = ""
        if unit is not None and pdu and (self._modbus_only or unit in self._units):
            said = self._words.question(unit, pdu) if sign == "→" else self._words.answer(unit, pdu)
        self._tell(f"{sign} {said}   [{shown(data)}]" if said else f"{sign} [{shown(data)}]")

    def _opened(self, frame: bytes) -> tuple[int | None, bytes]:
        """Unit and PDU of a frame, None when it is none."""
        if self._kind is LineKind.TCP:
            return (frame[6], frame[7:]) if len(frame) >= 8 else (None, b"")
        if self._kind is LineKind.ASCII:
            body = _ascii_body(frame)
            return (body[0], body[1:-1]) if len(body) >= 3 and sum(body) & 0xFF == 0 else (None, b"")
        whole = len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]
        return (frame[0], frame[1:-2]) if whole else (None, b"")


def _ascii_body(frame: bytes) -> bytes:
    """The bytes that an ASCII frame spells, its LRC last; nothing when it is none."""
    try:
        return bytes.fromhex(frame[frame.rfind(b":") + 1 :].decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return b""


async def ask_in_turn(line: Line, meters: Sequence[Polled], catalog: Catalog, every: float, tell: Tell) -> None:
    """Poll the meters in turn, again and again, until cancelled. LineDown when the line cannot be opened at all."""
    kind = settings_of(line).kind
    models = {unit_of_meter(one.serial, one.address, kind): catalog.model(one.model) for one in meters}
    link = WatchedLink(line, catalog, Words(models), tell)
    try:
        await link.open()
        while True:
            for meter in meters:
                try:
                    await link.read(meter)
                except LineDown:
                    await open_again(link, tell)
                except AmrError:
                    continue  # told already
            await asyncio.sleep(every)
    finally:
        await link.close()


async def open_again(link: Link, tell: Tell) -> None:
    """After a line was lost: try until it is there again, ever more seldom, and tell of it."""
    pause = _FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        try:
            await link.open()
        except LineDown as error:
            pause = min(2 * pause, _LONGEST_PAUSE)
            tell(f"× {error}; next try in {pause:g} s")
            continue
        tell("= the line is open again")
        return


async def listen(line: Line, meters: Sequence[Polled], catalog: Catalog, tell: Tell) -> None:
    """Tell every frame that goes over the line, saying nothing ourselves, until cancelled. LineDown passes."""
    settings = settings_of(line)
    if settings.kind in (LineKind.TCP, LineKind.ASCII):
        raise Misconfigured(
            f"kind {settings.kind.value} cannot be listened to: Modbus TCP carries nobody else's frames, and ASCII "
            "is not cut into frames here; name meters to ask with --meter UNIT=MODEL"
        )
    models = {unit_of_meter(one.serial, one.address, settings.kind): catalog.model(one.model) for one in meters}
    words, ear, listener = Words(models), Ear(), _Listener()
    transport = await _connect(settings, listener)
    try:
        while True:
            data = await listener.next(_PAUSE)
            for heard in ear.silence() if data is None else ear.hear(data):
                tell(words.heard(heard))
    finally:
        transport.abort()


class _Listener(asyncio.Protocol):
    """Bytes in a bounded queue; what nobody takes in time is lost, as on a wire."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1000)
        self._lost: Exception | None = None
        self._gone = asyncio.Event()

    async def next(self, silence: float) -> bytes | None:
        """The next bytes, None after so much silence. LineDown when the line is gone and all was taken."""
        if self._gone.is_set() and self._came.empty():
            raise LineDown("the other side closed the connection") from self._lost
        try:
            async with asyncio.timeout(silence):
                return await self._came.get()
        except TimeoutError:
            return None

    def data_received(self, data: bytes) -> None:
        if not self._came.full():
            self._came.put_nowait(bytes(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc
        self._gone.set()


async def _connect(settings: LineSettings, listener: asyncio.Protocol) -> asyncio.Transport:
    try:
        async with asyncio.timeout(settings.connect_timeout):
            if settings.kind.is_serial:
                return await open_port(settings.serial_port, listener)
            loop = asyncio.get_running_loop()
            return (await loop.create_connection(lambda: listener, settings.host, settings.port))[0]
    except TimeoutError as error:
        raise LineDown(f"{settings.where} took no connection within {settings.connect_timeout} s") from error
    except OSError as error:
        raise not_reached(settings.where, error) from error


def polled_of(pairs: Sequence[str]) -> list[Polled]:
    """Meters written UNIT=MODEL. Misconfigured when they are not."""
    found = []
    for pair in pairs:
        unit, equals, model = pair.partition("=")
        if not equals or not unit.strip() or not model.strip():
            raise Misconfigured(f"--meter {pair!r} is no meter; write UNIT=MODEL like 5=eastron-sdm630")
        found.append(Polled(f"unit {unit.strip()}", model.strip(), unit.strip(), timedelta(minutes=30)))
    return found
