"""The shipped models hold together, decode their own samples, and the user's own folder goes over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.catalog import load_catalog, specs
from collectors.decode import disagreements
from collectors.meter_model import Model
from collectors.model_file import parse_model
from collectors.plan import plan
from ingest.channel import is_counter
from ingest.errors import Misconfigured

SHIPPED = load_catalog()
EXPECTED = {
    *("eastron-sdm120", "eastron-sdm630", "abb-b23", "abb-b24", "schneider-iem3155", "schneider-iem3255"),
    *("schneider-pm5110", "carlo-gavazzi-em24", "carlo-gavazzi-em330", "carlo-gavazzi-em340", "janitza-b23"),
    "wirenboard-map3e",
}
EACH = pytest.mark.parametrize("model", SHIPPED.values(), ids=list(SHIPPED))


def test_the_models_are_there() -> None:
    assert set(SHIPPED) >= EXPECTED


@EACH
def test_a_model_decodes_its_own_samples(model: Model) -> None:
    assert list(disagreements(model)) == []
    assert {sample.channel for sample in model.samples} & {"1.8.0", "21.8.0"}
    assert len(model.samples) >= 3


@EACH
def test_a_model_says_what_its_facts_rest_on(model: Model) -> None:
    assert model.source
    counters = [spec for spec in specs(model) if is_counter(spec.channel)]
    assert "1.8.0" in {spec.channel for spec in counters}
    assert all(spec.max_rate for spec in counters)


@EACH
def test_a_model_can_be_read_within_its_limits(model: Model) -> None:
    blocks = plan(model.registers, most=model.max_registers, gap=model.max_gap)
    assert all(block.count <= model.max_registers for block in blocks)


def test_sums_are_registers_for_storage() -> None:
    assert {"1.8.0", "21.8.0"} <= {spec.channel for spec in specs(SHIPPED["wirenboard-map3e"])}


OWN = """
manufacturer = "Somebody"
name = "One"
source = "its display"
[[register]]
channel = "1.8.0"
address = 0
type = "uint32"
unit = "Wh"
"""


def test_a_folder_of_ones_own_goes_over_the_shipped(tmp_path: Path) -> None:
    (tmp_path / "somebody-one.toml").write_text(OWN)
    (tmp_path / "eastron-sdm120.toml").write_text(OWN)
    (tmp_path / "notes.txt").write_text("not a model")
    merged = load_catalog(tmp_path)
    assert merged["somebody-one"].name == "One"
    assert merged["eastron-sdm120"].manufacturer == "Somebody"
    assert merged["abb-b23"] == SHIPPED["abb-b23"]
    assert load_catalog()["eastron-sdm120"].manufacturer == "Eastron"


def test_all_mistakes_of_all_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(OWN.replace("uint32", "uint33"))
    (tmp_path / "two.toml").write_text(OWN.replace('"Wh"', '"W"'))
    with pytest.raises(Misconfigured) as caught:
        load_catalog(tmp_path)
    assert "one.toml:8" in str(caught.value)
    assert "two.toml:9" in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="AMR_CATALOG"):
        load_catalog(tmp_path / "nowhere")


def test_the_example_of_the_manual_is_right() -> None:
    manual = (Path(__file__).parents[2] / "docs/meter-models.md").read_text()
    example = manual.split("```toml\n")[1].split("```")[0]
    model = parse_model("my-meter.toml", example.encode())
    assert list(disagreements(model)) == []
    assert model.samples


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(Misconfigured, match=r"'eastron-sdm12' is not in the catalogue.*eastron-sdm120"):
        SHIPPED.model("eastron-sdm12")
