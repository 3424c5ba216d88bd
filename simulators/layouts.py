"""Register layouts of the simulated meter models, by model slug.

Written from the manufacturers' register tables on their own, apart from any decoder, so that a decoder cannot agree
with its own mistake. Addresses are wire addresses (0-based). Energies in kWh and kvarh before packing.
"""

from decimal import Decimal

from simulators.layout import Field, Layout
from simulators.packing import Pack, float32, integer

_D = Decimal
_VOLTS = ("32.7.0", "52.7.0", "72.7.0")
_AMPERES = ("31.7.0", "51.7.0", "71.7.0")
_WATTS = ("21.7.0", "41.7.0", "61.7.0")
_PHASE_ENERGY = ("21.8.0", "41.8.0", "61.8.0")


def _row(first: int, channels: tuple[str, ...], pack: Pack, step: int = 2) -> tuple[Field, ...]:
    return tuple(Field(first + i * step, channel, pack) for i, channel in enumerate(channels))


_FLOAT = float32()
# Eastron answers 0.0 for what the hardware lacks.
_EASTRON = float32(none=0.0)


def _sdm120() -> Layout:
    return Layout(
        model="eastron-sdm120",
        source="Eastron SDM120 Modbus protocol, input registers",
        functions=frozenset((4,)),
        fields=(
            Field(0x0000, "32.7.0", _EASTRON),
            Field(0x0006, "31.7.0", _EASTRON),
            Field(0x000C, "1.7.0", _EASTRON),
            Field(0x0018, "3.7.0", _EASTRON),
            Field(0x001E, "13.7.0", _EASTRON),
            Field(0x0046, "14.7.0", _EASTRON),
            *_row(0x0048, ("1.8.0", "2.8.0", "3.8.0", "4.8.0"), _EASTRON),
            Field(0x0156, "15.8.0", _EASTRON),
        ),
        spans=((0x0000, 0x0060), (0x0150, 0x0160)),
        phases=1,
        resolution=_D("0.01"),
        digits=6,
    )


def _sdm630() -> Layout:
    return Layout(
        model="eastron-sdm630",
        source="Eastron SDM630 Modbus V2 protocol, input registers",
        functions=frozenset((4,)),
        fields=(
            *_row(0x0000, _VOLTS, _EASTRON),
            *_row(0x0006, _AMPERES, _EASTRON),
            *_row(0x000C, _WATTS, _EASTRON),
            Field(0x0034, "1.7.0", _EASTRON),
            Field(0x003C, "3.7.0", _EASTRON),
            Field(0x003E, "13.7.0", _EASTRON),
            Field(0x0046, "14.7.0", _EASTRON),
            *_row(0x0048, ("1.8.0", "2.8.0", "3.8.0", "4.8.0"), _EASTRON),
            Field(0x0156, "15.8.0", _EASTRON),
            *_row(0x015A, _PHASE_ENERGY, _EASTRON),
        ),
        spans=((0x0000, 0x0110), (0x0150, 0x0180)),
        phases=3,
        resolution=_D("0.01"),
        digits=6,
    )


def _gavazzi(model: str, energy: int, export: int, extra: tuple[Field, ...], end: int) -> Layout:
    """Carlo Gavazzi: 32-bit signed, low word first; 7FFF FFFF where there is nothing."""
    tenth = integer(2, _D("0.1"), signed=True, low_first=True, none=0x7FFFFFFF)
    milli = integer(2, _D("0.001"), signed=True, low_first=True, none=0x7FFFFFFF)
    return Layout(
        model=model,
        source="Carlo Gavazzi serial communication protocol, instantaneous variables and meters",
        functions=frozenset((3, 4)),
        fields=(
            *_row(0x0000, _VOLTS, tenth),
            *_row(0x000C, _AMPERES, milli),
            *_row(0x0012, _WATTS, tenth),
            Field(0x0028, "1.7.0", tenth),
            Field(energy, "1.8.0", tenth),
            Field(export, "2.8.0", tenth),
            *extra,
        ),
        spans=((0x0000, end),),
        phases=3,
        resolution=_D("0.1"),
        digits=8,
    )


def _em24() -> Layout:
    frequency = integer(1, _D("0.1"), signed=True, none=0x7FFF)
    return _gavazzi("carlo-gavazzi-em24", 0x0042, 0x005C, (Field(0x0037, "14.7.0", frequency),), 0x0060)


def _em330(model: str) -> Layout:
    frequency = integer(1, _D("0.1"), signed=True, none=0x7FFF)
    factor = integer(1, _D("0.001"), signed=True, none=0x7FFF)
    extra = (Field(0x0031, "13.7.0", factor), Field(0x0033, "14.7.0", frequency))
    return _gavazzi(model, 0x0034, 0x004E, extra, 0x0052)


def _iem3000(model: str) -> Layout:
    """Schneider iEM3x55: energy in whole Wh, the rest float32; 8000 0000 0000 0000 or NaN where there is nothing."""
    watt_hours = integer(4, _D("0.001"), signed=True, none=-(1 << 63))
    kilo = float32(_D("0.001"))
    return Layout(
        model=model,
        source="Schneider Electric iEM3000 series user manual, register list (manual numbers less one)",
        functions=frozenset((3,)),
        fields=(
            *_row(0x0BB7, _AMPERES, _FLOAT),
            *_row(0x0BD3, _VOLTS, _FLOAT),
            *_row(0x0BED, _WATTS, kilo),
            Field(0x0BF3, "1.7.0", kilo),
            Field(0x0BFB, "3.7.0", kilo),
            Field(0x0C0B, "13.7.0", _FLOAT),
            Field(0x0C25, "14.7.0", _FLOAT),
            Field(0x0C83, "1.8.0", watt_hours),
            Field(0x0C87, "2.8.0", watt_hours),
            Field(0x0C93, "3.8.0", watt_hours),
            Field(0x0C97, "4.8.0", watt_hours),
        ),
        spans=((0x0BB7, 0x0C27), (0x0C83, 0x0C9B)),
        phases=3,
        resolution=_D("0.001"),
        digits=9,
        filler=0xFFFF,
    )


def _pm5110() -> Layout:
    kilo = float32(_D("0.001"))
    return Layout(
        model="schneider-pm5110",
        source="Schneider Electric PM5100 register list; its numbers are 1-based, here less one",
        functions=frozenset((3,)),
        fields=(
            Field(2700 - 1, "1.8.0", _FLOAT),
            Field(2702 - 1, "2.8.0", _FLOAT),
            Field(2708 - 1, "3.8.0", _FLOAT),
            Field(2710 - 1, "4.8.0", _FLOAT),
            *_row(3000 - 1, _AMPERES, _FLOAT),
            *_row(3028 - 1, _VOLTS, _FLOAT),
            *_row(3054 - 1, _WATTS, kilo),
            Field(3060 - 1, "1.7.0", kilo),
            Field(3068 - 1, "3.7.0", kilo),
            Field(3110 - 1, "14.7.0", _FLOAT),
        ),
        spans=((2699, 2723), (2999, 3111)),
        phases=3,
        resolution=_D("0.01"),
        digits=6,
        filler=0xFFFF,
    )


def _abb(model: str) -> Layout:
    """ABB B23/B24: all ones (unsigned) or 7F FF… (signed) where there is nothing."""
    energy = integer(4, _D("0.01"), signed=False, none=0xFFFF_FFFF_FFFF_FFFF)
    volts = integer(2, _D("0.1"), signed=False, none=0xFFFF_FFFF)
    amperes = integer(2, _D("0.01"), signed=False, none=0xFFFF_FFFF)
    power = integer(2, _D("0.01"), signed=True, none=0x7FFF_FFFF)
    return Layout(
        model=model,
        source="ABB B23/B24 user manual, Modbus mapping tables",
        functions=frozenset((3,)),
        fields=(
            *_row(0x5000, ("1.8.0", "2.8.0"), energy, step=4),
            *_row(0x500C, ("3.8.0", "4.8.0"), energy, step=4),
            *_row(0x5B00, _VOLTS, volts),
            *_row(0x5B0C, _AMPERES, amperes),
            *_row(0x5B14, ("1.7.0", *_WATTS), power),
            Field(0x5B1C, "3.7.0", power),
            Field(0x5B2C, "14.7.0", integer(1, _D("0.01"), signed=False, none=0xFFFF)),
            Field(0x5B3A, "13.7.0", integer(1, _D("0.001"), signed=True, none=0x7FFF)),
        ),
        spans=((0x5000, 0x5060), (0x5B00, 0x5B42)),
        phases=3,
        resolution=_D("0.01"),
        digits=8,
        filler=0xFFFF,
    )


def _janitza() -> Layout:
    watt_hours = float32(_D(1000))
    return Layout(
        model="janitza-b23",
        source="Janitza B series Modbus address list",
        functions=frozenset((3,)),
        fields=(
            *_row(0x4A38, _VOLTS, _FLOAT),
            *_row(0x4A44, _AMPERES, _FLOAT),
            *_row(0x4A4C, _WATTS, _FLOAT),
            Field(0x4A52, "1.7.0", _FLOAT),
            Field(0x4A6A, "14.7.0", _FLOAT),
            Field(0x4A7C, "1.8.0", watt_hours),
            Field(0x4A84, "2.8.0", watt_hours),
        ),
        spans=((0x4A38, 0x4AA0),),
        phases=3,
        resolution=_D("0.001"),
        digits=6,
    )


def _map3e() -> Layout:
    """Wiren Board WB-MAP3E: no total register; its count is 3.125e-6 kWh, moved here by eight at a time."""
    energy = integer(4, _D("0.000003125"), signed=False, low_first=True)
    return Layout(
        model="wirenboard-map3e",
        source="Wiren Board WB-MAP energy meter register map",
        functions=frozenset((4,)),
        fields=(
            *_row(0x10D9, _VOLTS, integer(1, _D("0.01"), signed=False), step=1),
            *_row(0x10DD, _AMPERES, integer(1, _D("0.001"), signed=False), step=1),
            *_row(0x1204, _PHASE_ENERGY, energy, step=4),
            *_row(0x1302, _WATTS, integer(2, _D("0.00032"), signed=True, low_first=True)),
        ),
        spans=((0x10D8, 0x10E1), (0x1200, 0x1240), (0x1300, 0x1308)),
        phases=3,
        resolution=_D("0.000025"),
        digits=6,
    )


LAYOUTS: dict[str, Layout] = {
    layout.model: layout
    for layout in (
        _sdm120(),
        _sdm630(),
        _abb("abb-b23"),
        _abb("abb-b24"),
        _iem3000("schneider-iem3155"),
        _iem3000("schneider-iem3255"),
        _pm5110(),
        _em24(),
        _em330("carlo-gavazzi-em330"),
        _em330("carlo-gavazzi-em340"),
        _janitza(),
        _map3e(),
    )
}


def layout_of(model: str) -> Layout:
    """The layout of a model slug."""
    try:
        return LAYOUTS[model]
    except KeyError:
        raise ValueError(f"unknown meter model {model!r}; known are: {', '.join(sorted(LAYOUTS))}") from None
