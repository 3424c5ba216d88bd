"""Register maps of Carlo Gavazzi EM24, EM330 and EM340. Wire addresses, 0-based. Pure."""

from decimal import Decimal

from simulators.layout import AMPERES, PHASE_ENERGY, VOLTS, WATTS, Field, Layout, SerialField, row
from simulators.packing import integer


def _gavazzi(
    model: str, energy: int, phases: int, export: int, extra: tuple[Field, ...], end: int, serial: int
) -> Layout:
    """32-bit signed, low word first; 7FFF FFFF where there is nothing; at most 11 registers a request."""
    tenth = integer(2, Decimal("0.1"), signed=True, low_first=True, none=0x7FFFFFFF)
    milli = integer(2, Decimal("0.001"), signed=True, low_first=True, none=0x7FFFFFFF)
    return Layout(
        model=model,
        source="Carlo Gavazzi serial communication protocol, instantaneous variables and meters",
        functions=frozenset((3, 4)),
        fields=(
            *row(0x0000, VOLTS, tenth),
            *row(0x000C, AMPERES, milli),
            *row(0x0012, WATTS, tenth),
            Field(0x0028, "1.7.0", tenth),
            Field(energy, "1.8.0", tenth),
            *row(phases, PHASE_ENERGY, tenth),
            Field(export, "2.8.0", tenth),
            *extra,
        ),
        spans=((0x0000, end),),
        serial=SerialField(functions=frozenset((3, 4)), address=serial, words=7, text=True),
        limit=11,
        phases=3,
        resolution=Decimal("0.1"),
        digits=8,
    )


_GAVAZZI_FREQUENCY = integer(1, Decimal("0.1"), signed=True, none=0x7FFF)
_GAVAZZI_FACTOR = integer(1, Decimal("0.001"), signed=True, none=0x7FFF)


def em24() -> Layout:
    extra = (Field(0x0035, "13.7.0", _GAVAZZI_FACTOR), Field(0x0037, "14.7.0", _GAVAZZI_FREQUENCY))
    return _gavazzi("carlo-gavazzi-em24", 0x003E, 0x0046, 0x005C, extra, 0x0060, 0x1300)


def em330(model: str) -> Layout:
    extra = (Field(0x0031, "13.7.0", _GAVAZZI_FACTOR), Field(0x0033, "14.7.0", _GAVAZZI_FREQUENCY))
    return _gavazzi(model, 0x0034, 0x0040, 0x004E, extra, 0x0052, 0x5000)
