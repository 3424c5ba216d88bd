"""The models that speak protocols of their own: what a street's meter of each is, and the far end of their line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from simulators.clock import Clock
from simulators.faults import Fault
from simulators.framing import RtuStation, Station
from simulators.iec_meters import IecMeter, IecModel, ce102m, ce303, neva_mt3xx
from simulators.iec_station import IecStation
from simulators.mercury206 import Mercury206
from simulators.mercury230 import MAKERS_OWN, Mercury230
from simulators.mercury_station import MercuryStation
from simulators.meter import Meter
from simulators.shared_line import SharedLine
from simulators.unit import Unit

Device = Mercury230 | Mercury206 | IecMeter


@dataclass(frozen=True, slots=True)
class SerialModel:
    """One model: whether its bus address is one byte, four bytes or characters; `dated`: it knows command 18h."""

    addressed: str
    phases: int
    digits: int = 6
    resolution: Decimal = Decimal("0.001")
    dated: bool = False
    iec: IecModel | None = None


def _single(resolution: str) -> SerialModel:
    return SerialModel("four bytes", 1, resolution=Decimal(resolution))


def _iec(model: IecModel) -> SerialModel:
    return SerialModel("characters", model.phases, resolution=model.resolution, iec=model)


SERIAL_MODELS: Mapping[str, SerialModel] = {
    **{f"mercury-{name}": SerialModel("one byte", 1) for name in ("203-2td", "204", "208")},
    **{f"mercury-{name}": SerialModel("one byte", 3) for name in ("230", "231")},
    **{f"mercury-{name}": SerialModel("one byte", 3, dated=True) for name in ("234", "236")},
    **{f"mercury-{name}": _single("0.01") for name in ("200", "201", "203", "206")},
    **{one.slug: _iec(one) for one in (ce102m(), ce303(), neva_mt3xx())},
}


def address_of(model: SerialModel, text: str, serial: str) -> str:
    """A bus address as it is used: decimal for one or four bytes (also given as 0x…). ValueError says what is wrong."""
    if model.addressed == "characters":
        if not text.isascii() or not text.isalnum() or len(text) > 32:
            raise ValueError(f"{text!r} is no address; write up to 32 letters and digits")
        return text
    least, most = (1, 240) if model.addressed == "one byte" else (1, 0xFFFFFFFF)
    digits = 8 if model.addressed == "one byte" else 10
    if not serial.isascii() or not serial.isdecimal() or len(serial) > digits or int(serial) > 0xFFFFFFFF:
        raise ValueError(f"serial {serial!r} is no Меркурий number; write up to {digits} digits")
    try:
        number = int(text, 0 if text.lower().startswith("0x") else 10)
    except ValueError:
        number = 0
    if not least <= number <= most:
        raise ValueError(f"{text!r} is no address; write a number from {least} to {most}")
    return str(number)


def device_of(
    model: SerialModel, meter: Meter, clock: Clock, faults: tuple[Fault, ...], address: str, password: str | None
) -> Device:
    """The meter as it hangs on the line; without a password it takes its maker's own."""
    if model.iec is not None:
        usual = "00000000" if model.iec.bcc == "xor" else "777777"
        return IecMeter(meter, model.iec, clock, faults, address=address, password=password or usual)
    if model.addressed == "four bytes":
        return Mercury206(meter, clock, faults, tariffs=2 if meter.zones else 1)
    passwords = MAKERS_OWN if password is None else (password.encode("ascii"),) * 2
    return Mercury230(meter, clock, faults, dated=model.dated, passwords=passwords)


@dataclass(slots=True)
class Hanging:
    """All that hangs on one wire, by how it is addressed."""

    units: dict[int, Unit] = field(default_factory=dict)
    three_phase: dict[int, Mercury230] = field(default_factory=dict)
    single_phase: dict[int, Mercury206] = field(default_factory=dict)
    iec: list[IecMeter] = field(default_factory=list)

    def add(self, device: Device, address: str) -> None:
        """Hang up one more."""
        if isinstance(device, IecMeter):
            self.iec.append(device)
        elif isinstance(device, Mercury206):
            self.single_phase[int(address)] = device
        else:
            self.three_phase[int(address)] = device

    def station(self, baud: int) -> Callable[[], Station]:
        """What makes the far end of each connection, at the line's speed."""
        if not (self.three_phase or self.single_phase or self.iec):
            return lambda: RtuStation(self.units)
        return lambda: SharedLine(
            [
                MercuryStation(self.three_phase, self.single_phase),
                IecStation(self.iec, initial=baud),
                RtuStation(self.units),
            ]
        )
