"""Voltage, current, power, power factor and frequency of a simulated meter. Pure and deterministic.

Power is exactly the slope of the counted energy. Voltage and frequency wander by a hash of serial number, minute and
channel, so that two runs, and two readers within one minute, see the same values.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from zlib import crc32

_VOLTS = ("32.7.0", "52.7.0", "72.7.0")
_AMPERES = ("31.7.0", "51.7.0", "71.7.0")
_WATTS = ("21.7.0", "41.7.0", "61.7.0")
_PHASE_SHARE = (Decimal("0.40"), Decimal("0.33"), Decimal("0.27"))


def momentary(
    serial: str, at: datetime, watts: Decimal, phases: int, shares: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Momentary channels for a load of `watts`: V to 0.1, A to 0.001, W to 0.1, Hz to 0.01, factor to 0.001."""
    minute = int(at.astimezone(UTC).timestamp()) // 60
    factor = _power_factor(shares)
    reactive = shares.get("3.8.0", Decimal(0))
    shown = {
        "1.7.0": watts.quantize(Decimal("0.1")),
        "3.7.0": (watts * reactive).quantize(Decimal("0.1")),
        "13.7.0": factor,
        "14.7.0": Decimal(50) + Decimal(_noise(serial, minute, "14.7.0", 3)) / 100,
    }
    for phase in range(phases):
        part = watts if phases == 1 else watts * _PHASE_SHARE[phase]
        volts = Decimal(230) + Decimal(_noise(serial, minute, _VOLTS[phase], 50)) / 10
        shown[_VOLTS[phase]] = volts
        shown[_AMPERES[phase]] = (part / (volts * factor)).quantize(Decimal("0.001"))
        if phases > 1:
            shown[_WATTS[phase]] = part.quantize(Decimal("0.1"))
    return shown


def _power_factor(shares: Mapping[str, Decimal]) -> Decimal:
    """cos φ of a constant ratio of reactive to active power."""
    ratio = shares.get("3.8.0", Decimal(0))
    return (1 / (1 + ratio * ratio).sqrt()).quantize(Decimal("0.001"))


def _noise(serial: str, minute: int, channel: str, width: int) -> int:
    """A whole number from -width to +width that looks random and never changes."""
    return crc32(f"{serial} {minute} {channel}".encode()) % (2 * width + 1) - width
