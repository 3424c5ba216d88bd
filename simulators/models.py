"""A meter as fits a catalogue model: phases, resolution and digits from its layout. Pure."""

from decimal import Decimal
from typing import Any

from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.shape import load


def meter_of(model: str, serial: str, **facts: Any) -> Meter:
    """A meter of this model with household a behind it; `facts` replace or add any of `Meter`'s."""
    layout = layout_of(model)
    known: dict[str, Any] = {
        "shape": load("a"),
        "phases": layout.phases,
        "resolution": layout.resolution,
        "digits": layout.digits,
        "start": {"1.8.0": Decimal("1234.5")},
        "shares": {"2.8.0": Decimal("0.1"), "3.8.0": Decimal("0.3"), "4.8.0": Decimal("0.05")},
    }
    return Meter(serial=serial, **(known | facts))
