"""Register maps of ABB B23 and B24, and of the Janitza B series. Wire addresses, 0-based. Pure."""

from decimal import Decimal

from simulators.layout import AMPERES, PHASE_ENERGY, VOLTS, WATTS, Field, Layout, SerialField, row
from simulators.packing import float32, integer


def b23(model: str) -> Layout:
    """ABB B23/B24: all ones (unsigned) or 7F FF… (signed) where there is nothing."""
    energy = integer(4, Decimal("0.01"), signed=False, none=0xFFFF_FFFF_FFFF_FFFF)
    volts = integer(2, Decimal("0.1"), signed=False, none=0xFFFF_FFFF)
    amperes = integer(2, Decimal("0.01"), signed=False, none=0xFFFF_FFFF)
    power = integer(2, Decimal("0.01"), signed=True, none=0x7FFF_FFFF)
    return Layout(
        model=model,
        source="ABB B23/B24 user manual, Modbus mapping tables",
        functions=frozenset((3,)),
        fields=(
            *row(0x5000, ("1.8.0", "2.8.0"), energy, step=4),
            *row(0x500C, ("3.8.0", "4.8.0"), energy, step=4),
            *row(0x5460, PHASE_ENERGY, energy, step=4),
            *row(0x5B00, VOLTS, volts),
            *row(0x5B0C, AMPERES, amperes),
            *row(0x5B14, ("1.7.0", *WATTS), power),
            Field(0x5B1C, "3.7.0", power),
            Field(0x5B2C, "14.7.0", integer(1, Decimal("0.01"), signed=False, none=0xFFFF)),
            Field(0x5B3A, "13.7.0", integer(1, Decimal("0.001"), signed=True, none=0x7FFF)),
        ),
        spans=((0x5000, 0x5060), (0x5460, 0x54B0), (0x5B00, 0x5B42)),
        serial=SerialField(functions=frozenset((3,)), address=0x8900, words=2),
        phases=3,
        resolution=Decimal("0.01"),
        digits=8,
        filler=0xFFFF,
    )


def janitza() -> Layout:
    watt_hours = float32(Decimal(1000))
    return Layout(
        model="janitza-b23",
        source="Janitza B series Modbus address list",
        functions=frozenset((3,)),
        fields=(
            *row(0x4A38, VOLTS, float32()),
            *row(0x4A44, AMPERES, float32()),
            *row(0x4A4C, WATTS, float32()),
            Field(0x4A52, "1.7.0", float32()),
            Field(0x4A6A, "14.7.0", float32()),
            *row(0x4A76, PHASE_ENERGY, watt_hours),
            Field(0x4A7C, "1.8.0", watt_hours),
            Field(0x4A84, "2.8.0", watt_hours),
        ),
        spans=((0x4A38, 0x4AA0),),
        phases=3,
        resolution=Decimal("0.001"),
        digits=6,
    )
