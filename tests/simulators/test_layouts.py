"""Register layouts: fixed samples for each model, worked out by hand, and rules that hold for all."""

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from simulators.layout import Field
from simulators.layouts import LAYOUTS, layout_of
from simulators.models import meter_of

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
VALUES = {
    "1.8.0": Decimal("12345.67"),
    "2.8.0": Decimal("8.5"),
    "21.8.0": Decimal(4000),
    "1.7.0": Decimal("1500.5"),
    "21.7.0": Decimal(640),
    "32.7.0": Decimal("230.2"),
    "31.7.0": Decimal("6.513"),
    "13.7.0": Decimal("0.958"),
    "14.7.0": Decimal("50.02"),
}
SAMPLES = [
    ("eastron-sdm120", 0x0000, "43663333"),
    ("eastron-sdm120", 0x0048, "4640e6ae 41080000"),
    ("eastron-sdm120", 0x004C, "00000000"),
    ("eastron-sdm630", 0x0034, "44bb9000"),
    ("eastron-sdm630", 0x015A, "457a0000"),
    ("abb-b23", 0x5000, "000000000012d687 0000000000000352"),
    ("abb-b23", 0x500C, "ffffffffffffffff"),
    ("abb-b23", 0x5B00, "000008fe ffffffff"),
    ("abb-b23", 0x5B0C, "0000028b"),
    ("abb-b24", 0x5B14, "00024a22 0000fa00 7fffffff"),
    ("abb-b24", 0x5B2C, "138a"),
    ("schneider-iem3155", 0x0C83, "0000000000bc6146 0000000000002134"),
    ("schneider-iem3155", 0x0C93, "8000000000000000"),
    ("schneider-iem3255", 0x0BF3, "3fc01062"),
    ("schneider-iem3255", 0x0BD3, "43663333"),
    ("schneider-pm5110", 2699, "4640e6ae 41080000"),
    ("schneider-pm5110", 3059, "3fc01062"),
    ("carlo-gavazzi-em24", 0x003E, "e2410001"),
    ("carlo-gavazzi-em24", 0x005C, "00550000"),
    ("carlo-gavazzi-em24", 0x0000, "08fe0000 ffff7fff"),
    ("carlo-gavazzi-em24", 0x000C, "19710000"),
    ("carlo-gavazzi-em24", 0x0037, "01f4"),
    ("carlo-gavazzi-em330", 0x0034, "e2410001"),
    ("carlo-gavazzi-em340", 0x0031, "03be"),
    ("janitza-b23", 0x4A7C, "4b3c6146"),
    ("wirenboard-map3e", 0x1204, "4000 4c4b 0000 0000"),
    ("wirenboard-map3e", 0x10D9, "59ec"),
    ("wirenboard-map3e", 0x1302, "001e8480"),
]


@pytest.mark.parametrize(("model", "address", "expected"), SAMPLES)
def test_samples(model: str, address: int, expected: str) -> None:
    packed = bytes.fromhex(expected)
    layout = layout_of(model)
    assert layout.cut(layout.image(VALUES), address, len(packed) // 2) == packed


def test_every_model_has_a_sample() -> None:
    assert {model for model, _, _ in SAMPLES} == set(LAYOUTS)
    assert len(LAYOUTS) == 12


@pytest.mark.parametrize("model", sorted(LAYOUTS))
def test_no_two_fields_overlap_and_all_lie_inside_the_spans(model: str) -> None:
    layout = LAYOUTS[model]
    taken: set[int] = set()
    for field in layout.fields:
        own = _addresses(field)
        assert not taken & own, f"{field.address:#06x}"
        assert any(first <= min(own) and max(own) < end for first, end in layout.spans)
        taken |= own


def _addresses(field: Field) -> set[int]:
    return set(range(field.address, field.address + len(field.pack(None)) // 2))


@pytest.mark.parametrize("model", sorted(LAYOUTS))
def test_words_are_the_image_by_address_and_no_read_leaves_a_span(model: str) -> None:
    layout = LAYOUTS[model]
    image = layout.image(meter_of(model, "1").values(AT))
    words = layout.words(meter_of(model, "1").values(AT))
    for first, end in layout.spans:
        count = min(125, end - first)
        expected = struct.pack(f">{count}H", *(words[address] for address in range(first, first + count)))
        assert layout.cut(image, first, count) == expected
        assert layout.cut(image, end - 1, 2) is None
        assert layout.cut(image, first - 1, 2) is None


@pytest.mark.parametrize("model", sorted(LAYOUTS))
def test_counters_of_the_models_resolution_fit_the_registers(model: str) -> None:
    layout = LAYOUTS[model]
    full = {channel: Decimal(10) ** layout.digits - layout.resolution for channel in ("1.8.0", "21.8.0")}
    (energy,) = {field.pack for field in layout.fields if field.channel == "1.8.0"}
    assert energy(full["1.8.0"]) != energy(full["1.8.0"] / 2)
    assert layout.source


def test_a_float_meter_keeps_a_hundredth_below_the_limit_of_24_bits() -> None:
    layout = layout_of("eastron-sdm120")
    for counted in ("99999.99", "131071.99"):
        registers = layout.cut(layout.image({"1.8.0": Decimal(counted)}), 0x0048, 2)
        assert registers is not None
        assert round(Decimal(struct.unpack(">f", registers)[0]), 2) == Decimal(counted)


def test_the_serial_number_is_told_in_each_makers_way() -> None:
    abb, gavazzi, wirenboard = (layout_of(m).serial for m in ("abb-b23", "carlo-gavazzi-em24", "wirenboard-map3e"))
    assert abb is not None
    assert gavazzi is not None
    assert wirenboard is not None
    assert abb.cut("11000005", 3, 0x8900, 2) == (11000005).to_bytes(4, "big")
    assert gavazzi.cut("AB123", 4, 0x1300, 7) == b"AB123" + bytes(9)
    assert gavazzi.cut("AB123", 4, 0x1301, 1) == b"12"
    assert wirenboard.cut("11000005", 3, 270, 2) is None
    # Wiren Board's template takes FE00 0000 off what the registers hold.
    assert wirenboard.cut("11000005", 4, 270, 2) == (11000005 + 0xFE000000).to_bytes(4, "big")
    assert abb.cut("no number", 3, 0x8900, 2) == bytes(4)


def test_an_unknown_model_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'abb-b99'; known are: abb-b23, abb-b24, carlo"):
        layout_of("abb-b99")
