"""A line on which meters of several protocols may hang: one bus, and for each meter whoever speaks its language."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from collectors.archive import Kind, Recall
from collectors.bus import Bus
from collectors.catalog import Catalog
from collectors.iec_talk import IecTalk
from collectors.line_settings import LineKind, settings_of, unit_of_meter
from collectors.link import Answer, Asker, Link, Overhearing, Sweep
from collectors.mercury_profile import intervals
from collectors.mercury_talk import Mercury206Talk, Mercury230Talk
from collectors.meter_options import options_of
from collectors.modbus import ModbusLink
from collectors.serial_model import SerialModel, Tongue
from collectors.serial_talk import Known, Talk, Unsupported, check_identity, read, registers
from ingest.errors import Misconfigured
from ingest.model import Line, Polled

_Speaker = Mercury230Talk | Mercury206Talk | IecTalk
_SPEAKERS: dict[Tongue, Callable[[Bus, Known], _Speaker]] = {
    Tongue.MERCURY_230: Mercury230Talk,
    Tongue.MERCURY_206: Mercury206Talk,
    Tongue.IEC: IecTalk,
}

_MODBUS_ONLY = (LineKind.TCP, LineKind.ASCII)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SerialLink:
    """One serial line, direct or through a converter. What it learned of a meter outlives a lost connection."""

    def __init__(
        self, line: Line, catalog: Catalog, now: Callable[[], datetime] = _utc_now, bus: Bus | None = None
    ) -> None:
        settings = settings_of(line)
        self.catalog = catalog
        self._line = line
        self._check_serial = settings.check_serial
        self._bus = bus or Bus(line.name, settings)
        self.modbus = ModbusLink(line, catalog, self._bus)
        self._now = now
        self._known: dict[str, tuple[Known, _Speaker]] = {}

    def protocol(self, meter: Polled) -> str:
        """What a meter speaks; Modbus of a model nobody knows, which is then told by its polls."""
        model = self.catalog.serial.get(meter.model)
        return "modbus" if model is None else model.tongue.value

    async def open(self) -> None:
        """Connect, and let the line settle."""
        await self._bus.open()

    async def close(self) -> None:
        """Hang up."""
        self._bus.close()

    async def read(self, meter: Polled) -> Answer:
        """Poll one meter in its own language."""
        model = self.catalog.serial_model(meter.model)
        if model is None:
            return await self.modbus.read(meter)
        async with self._talk(meter, model) as (talk, known):
            return await read(talk, known, self._now(), check_serial=self._check_serial)

    def sweep(self, asker: Asker) -> Sweep | None:
        """Never: on these lines there is a pause between frames."""
        return None

    def overhear(self, ear: Overhearing | None) -> None:
        """Let somebody hear every frame."""
        self._bus.overhear(ear)

    async def recall(self, meter: Polled, recall: Recall) -> Answer:
        """Ask a meter's memory. NotThere or Unsupported when it does not have it; other errors as `read`.

        Refused when the memory is another meter's.
        """
        model = self.catalog.serial_model(meter.model)
        if model is None or (recall.kind is Kind.PROFILE and model.profile is None):
            raise Unsupported(f"model {meter.model} keeps no {recall.kind} archive that can be read")
        async with self._talk(meter, model) as (talk, known):
            if self._check_serial:
                await check_identity(talk, known)
            if recall.kind is not Kind.PROFILE:
                return await registers(talk, known, recall, self._now())
            if not isinstance(talk, Mercury230Talk):
                raise Unsupported(f"model {meter.model} keeps no load profile that can be read")
            return await intervals(talk, known, recall, self._now())

    async def facts(self, meter: Polled) -> dict[str, str]:
        """What a meter says of itself, to compare with its card: serial number, clock, ratios, constant."""
        model = self.catalog.serial_model(meter.model)
        if model is None:
            return {}
        async with self._talk(meter, model) as (talk, _):
            said = {"serial": await talk.serial(), "clock": await talk.clock()}
            if isinstance(talk, Mercury230Talk):
                vt, ct = await talk.ratios()
                said |= {"vt": f"{vt}", "ct": f"{ct}", "constant": f"{await talk.constant()}"}
        return {name: str(value) for name, value in said.items() if value is not None}

    @asynccontextmanager
    async def _talk(self, meter: Polled, model: SerialModel) -> AsyncIterator[tuple[Talk, Known]]:
        """A conversation with one meter, in session where its protocol has sessions."""
        kept = self._known.get(meter.serial)
        if kept is None or kept[0].meter != meter:
            known = Known(meter, model, options_of(self._line, meter, model.passwords))
            kept = known, _SPEAKERS[model.tongue](self._bus, known)
            self._known[meter.serial] = kept
        known, speaker = kept
        if isinstance(speaker, IecTalk):
            async with speaker.session():
                yield speaker, known
        else:
            yield speaker, known


def check_meter(line: Line, meter: Polled, catalog: Catalog) -> None:
    """Raise Misconfigured when a meter cannot be asked over a line: its model, address or options.

    A model that is in no catalogue is somebody else's business: it is never asked.
    """
    if meter.model not in catalog and meter.model not in catalog.serial and meter.model not in catalog.pushed:
        return
    settings = settings_of(line)
    model = catalog.serial_model(meter.model)
    if model is None:
        unit_of_meter(meter.serial, meter.address, settings.kind)
    elif settings.kind in _MODBUS_ONLY:
        raise Misconfigured(
            f"model {meter.model} speaks {model.tongue.value}, which a {settings.kind} line does not carry; "
            "use a line of kind serial, serial-over-tcp or rfc2217"
        )
    else:
        known = Known(meter, model, options_of(line, meter, model.passwords))
        _SPEAKERS[model.tongue](Bus(line.name, settings), known)


def line_link(line: Line, catalog: Catalog, now: Callable[[], datetime] = _utc_now) -> Link:
    """The link of any line. Misconfigured names what is wrong with its kind, address or options."""
    if settings_of(line).kind in _MODBUS_ONLY:
        return ModbusLink(line, catalog)
    return SerialLink(line, catalog, now)
