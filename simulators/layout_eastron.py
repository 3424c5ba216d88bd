"""Register maps of Eastron SDM120 and SDM630. Wire addresses, 0-based. Pure."""

from decimal import Decimal

from simulators.layout import AMPERES, PHASE_ENERGY, VOLTS, WATTS, Field, Layout, SerialField, row
from simulators.packing import float32

# Eastron answers 0.0 for what the hardware lacks.
_EASTRON = float32(none=0.0)
_EASTRON_SERIAL = SerialField(functions=frozenset((3,)), address=0xFC00, words=2)


def sdm120() -> Layout:
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
            *row(0x0048, ("1.8.0", "2.8.0", "3.8.0", "4.8.0"), _EASTRON),
            Field(0x0156, "15.8.0", _EASTRON),
        ),
        spans=((0x0000, 0x0060), (0x0150, 0x0160)),
        serial=_EASTRON_SERIAL,
        limit=80,
        phases=1,
        resolution=Decimal("0.01"),
        digits=6,
    )


def sdm630() -> Layout:
    return Layout(
        model="eastron-sdm630",
        source="Eastron SDM630 Modbus V2 protocol, input registers",
        functions=frozenset((4,)),
        fields=(
            *row(0x0000, VOLTS, _EASTRON),
            *row(0x0006, AMPERES, _EASTRON),
            *row(0x000C, WATTS, _EASTRON),
            Field(0x0034, "1.7.0", _EASTRON),
            Field(0x003C, "3.7.0", _EASTRON),
            Field(0x003E, "13.7.0", _EASTRON),
            Field(0x0046, "14.7.0", _EASTRON),
            *row(0x0048, ("1.8.0", "2.8.0", "3.8.0", "4.8.0"), _EASTRON),
            Field(0x0156, "15.8.0", _EASTRON),
            *row(0x015A, PHASE_ENERGY, _EASTRON),
        ),
        spans=((0x0000, 0x0110), (0x0150, 0x0180)),
        serial=_EASTRON_SERIAL,
        limit=80,
        phases=3,
        resolution=Decimal("0.01"),
        digits=6,
    )
