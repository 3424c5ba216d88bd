"""Register maps of Schneider Electric iEM3155, iEM3255 and PM5110. Wire addresses, 0-based. Pure."""

from decimal import Decimal

from simulators.layout import AMPERES, PHASE_ENERGY, VOLTS, WATTS, Field, Layout, SerialField, row
from simulators.packing import float32, integer

_SCHNEIDER_SERIAL = SerialField(functions=frozenset((3,)), address=130 - 1, words=2)


def iem3000(model: str) -> Layout:
    """Schneider iEM3x55: energy in whole Wh, the rest float32; 8000 0000 0000 0000 or NaN where there is nothing."""
    watt_hours = integer(4, Decimal("0.001"), signed=True, none=-(1 << 63))
    kilo = float32(Decimal("0.001"))
    return Layout(
        model=model,
        source="Schneider Electric iEM3000 series user manual, register list (manual numbers less one)",
        functions=frozenset((3,)),
        fields=(
            *row(0x0BB7, AMPERES, float32()),
            *row(0x0BD3, VOLTS, float32()),
            *row(0x0BED, WATTS, kilo),
            Field(0x0BF3, "1.7.0", kilo),
            Field(0x0BFB, "3.7.0", kilo),
            Field(0x0C0B, "13.7.0", float32()),
            Field(0x0C25, "14.7.0", float32()),
            Field(0x0C83, "1.8.0", watt_hours),
            Field(0x0C87, "2.8.0", watt_hours),
            Field(0x0C93, "3.8.0", watt_hours),
            Field(0x0C97, "4.8.0", watt_hours),
            *row(0x0DBD, PHASE_ENERGY, watt_hours, step=4),
        ),
        spans=((0x0BB7, 0x0C27), (0x0C83, 0x0C9B), (0x0DBD, 0x0DC9)),
        serial=_SCHNEIDER_SERIAL,
        phases=3,
        resolution=Decimal("0.001"),
        digits=9,
        filler=0xFFFF,
    )


def pm5110() -> Layout:
    kilo = float32(Decimal("0.001"))
    return Layout(
        model="schneider-pm5110",
        source="Schneider Electric PM5100 register list; its numbers are 1-based, here less one",
        functions=frozenset((3,)),
        fields=(
            Field(2700 - 1, "1.8.0", float32()),
            Field(2702 - 1, "2.8.0", float32()),
            Field(2708 - 1, "3.8.0", float32()),
            Field(2710 - 1, "4.8.0", float32()),
            *row(3000 - 1, AMPERES, float32()),
            *row(3028 - 1, VOLTS, float32()),
            *row(3054 - 1, WATTS, kilo),
            Field(3060 - 1, "1.7.0", kilo),
            Field(3068 - 1, "3.7.0", kilo),
            Field(3110 - 1, "14.7.0", float32()),
        ),
        spans=((2699, 2723), (2999, 3111)),
        serial=_SCHNEIDER_SERIAL,
        phases=3,
        resolution=Decimal("0.01"),
        digits=6,
        filler=0xFFFF,
    )
