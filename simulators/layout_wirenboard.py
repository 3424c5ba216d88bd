"""Register map of the Wiren Board WB-MAP3E. Wire addresses, 0-based. Pure."""

from decimal import Decimal

from simulators.layout import AMPERES, PHASE_ENERGY, PHASE_REACTIVE, VOLTS, WATTS, Field, Layout, SerialField, row
from simulators.packing import integer


def map3e() -> Layout:
    """Wiren Board WB-MAP3E, first firmware: only its 64-bit energies come low word first.

    One count is 3.125e-6 kWh; the simulated counters move by eight of them, which is exact in millionths.
    """
    energy = integer(4, Decimal("0.000003125"), signed=False, low_first=True)
    power = integer(2, Decimal("0.00032"), signed=True)
    return Layout(
        model="wirenboard-map3e",
        source="Wiren Board WB-MAP3E register map and driver template",
        functions=frozenset((4,)),
        fields=(
            *row(0x10D9, VOLTS, integer(1, Decimal("0.01"), signed=False), step=1),
            *row(0x10DD, AMPERES, integer(1, Decimal("0.001"), signed=False), step=1),
            Field(0x10F8, "14.7.0", integer(1, Decimal("0.01"), signed=False)),
            *row(0x1200, ("1.8.0", *PHASE_ENERGY), energy, step=4),
            *row(0x1220, ("3.8.0", *PHASE_REACTIVE), energy, step=4),
            *row(0x1300, ("1.7.0", *WATTS), power),
        ),
        spans=((0x10D8, 0x1100), (0x1200, 0x1240), (0x1300, 0x1314)),
        serial=SerialField(functions=frozenset((4,)), address=270, words=2, offset=0xFE00_0000),
        phases=3,
        resolution=Decimal("0.000025"),
        digits=6,
    )
