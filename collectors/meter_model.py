"""What a meter model is: registers, sums, serial number and samples, as frozen values with exact scales.

The facts themselves are TOML data in `meters/<slug>.toml`; `model_file.py` reads them strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ingest.channel import unit_of
from ingest.model import RegisterSpec


class Order(StrEnum):
    """Which word of a long value (or which byte of a word) comes first on the wire."""

    HIGH_FIRST = "high-first"
    LOW_FIRST = "low-first"


class Kind(StrEnum):
    """How a value is packed into 16-bit registers."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BCD48 = "bcd48"
    BCD64 = "bcd64"

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return int(self.value.lstrip("uintfloabcd")) // 16

    @property
    def is_float(self) -> bool:
        return self.value.startswith("float")

    @property
    def is_bcd(self) -> bool:
        return self.value.startswith("bcd")

    @property
    def is_signed(self) -> bool:
        return self.value.startswith("int")


UNITS: Mapping[str, tuple[str, Decimal]] = {
    "Wh": ("kWh", Decimal("0.001")),
    "kWh": ("kWh", Decimal(1)),
    "MWh": ("kWh", Decimal(1000)),
    "varh": ("kvarh", Decimal("0.001")),
    "kvarh": ("kvarh", Decimal(1)),
    "Mvarh": ("kvarh", Decimal(1000)),
    "VAh": ("kVAh", Decimal("0.001")),
    "kVAh": ("kVAh", Decimal(1)),
    "MVAh": ("kVAh", Decimal(1000)),
    "mW": ("W", Decimal("0.001")),
    "W": ("W", Decimal(1)),
    "kW": ("W", Decimal(1000)),
    "MW": ("W", Decimal(1_000_000)),
    "var": ("var", Decimal(1)),
    "kvar": ("var", Decimal(1000)),
    "VA": ("VA", Decimal(1)),
    "kVA": ("VA", Decimal(1000)),
    "mV": ("V", Decimal("0.001")),
    "V": ("V", Decimal(1)),
    "kV": ("V", Decimal(1000)),
    "mA": ("A", Decimal("0.001")),
    "A": ("A", Decimal(1)),
    "Hz": ("Hz", Decimal(1)),
    "1": ("1", Decimal(1)),
}
"""A device's unit -> our base unit and what to multiply by, exactly."""


@dataclass(frozen=True, slots=True)
class ModelRegister:
    """One value of a model. `address` is the wire address (0-based); `factor` turns the raw number into base units.

    `not_available` holds raw codes, as unsigned numbers of the register's width, that mean "no value".
    """

    channel: str
    address: int
    function: int
    kind: Kind
    factor: Decimal = Decimal(1)
    unit: str = "1"
    word_order: Order = Order.HIGH_FIRST
    byte_order: Order = Order.HIGH_FIRST
    not_available: frozenset[int] = frozenset()
    digits: int | None = None
    decimals: int = 3
    max_rate: Decimal | None = None

    @property
    def words(self) -> int:
        return self.kind.words

    @property
    def end(self) -> int:
        """The wire address after its last word."""
        return self.address + self.kind.words

    @property
    def spec(self) -> RegisterSpec:
        return RegisterSpec(self.channel, self.digits, self.decimals, self.max_rate)


@dataclass(frozen=True, slots=True)
class Sum:
    """A channel the meter has no register for: the sum of others, absent when one of them is."""

    channel: str
    parts: tuple[str, ...]
    digits: int | None = None
    decimals: int = 3
    max_rate: Decimal | None = None

    @property
    def spec(self) -> RegisterSpec:
        return RegisterSpec(self.channel, self.digits, self.decimals, self.max_rate)


@dataclass(frozen=True, slots=True)
class SerialRegister:
    """Where the meter says its own serial number: a whole number (less `offset`), or ASCII text of `words` words."""

    address: int
    function: int
    words: int
    text: bool = False
    offset: int = 0
    word_order: Order = Order.HIGH_FIRST


@dataclass(frozen=True, slots=True)
class Sample:
    """Words seen on a wire (or printed in a manual) and what they mean; `expected` None is "not available"."""

    address: int
    words: bytes
    channel: str
    expected: Decimal | None


@dataclass(frozen=True, slots=True)
class Model:
    """A meter model. Times are seconds; `max_gap` is how many unneeded registers a read may run across."""

    slug: str
    manufacturer: str
    name: str
    source: str
    base: int
    registers: tuple[ModelRegister, ...]
    sums: tuple[Sum, ...] = ()
    serial: SerialRegister | None = None
    samples: tuple[Sample, ...] = ()
    max_registers: int = 125
    max_gap: int = 0
    timeout: float = 1.0
    pause: float = 0.0

    def __hash__(self) -> int:
        """Cheap, because plans are kept by model; two models of one slug still compare by all they say."""
        return hash(self.slug)

    def register(self, channel: str) -> ModelRegister:
        """The register of a channel; KeyError when the meter has none of its own."""
        for register in self.registers:
            if register.channel == channel:
                return register
        raise KeyError(channel)


def check_unit(channel: str, unit: str) -> str | None:
    """Why a device's unit does not suit the channel, or None when it does."""
    base = unit_of(channel)
    fitting = [name for name, (to, _) in UNITS.items() if to == base]
    return None if unit in fitting else f"{channel} is counted in {base}; write one of {', '.join(fitting)}"
