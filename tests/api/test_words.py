"""The dictionary of codes: a page finds words for every code that an answer can have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from api.fields import ContactState
from api.service_schemas import CodeWords, Dictionary
from api.words import AMOUNT_REASONS, CHANNELS, QUALITIES, SOURCES, UNITS
from ingest.channel import _ENERGY_UNITS, _POWER_UNITS, unit_of
from ingest.model import Quality, Source
from tests.api.conftest import House

CONSUMPTION = Path(__file__).parents[2] / "docs" / "consumption.md"


def codes(said: list[CodeWords]) -> set[str]:
    """The codes of one list."""
    return {one.code for one in said}


async def test_every_code_of_an_answer_has_words_in_both_languages(house: House) -> None:
    said = Dictionary.model_validate_json((await house.client.get("/problems")).content)
    assert codes(said.qualities) == {quality.label for quality in Quality}
    assert codes(said.sources) == {source.label for source in Source}
    assert codes(said.contacts) == set(get_args(ContactState))
    assert {"timeout", "line_down", "swapped_meter"} <= codes(said.failures)
    for one in (*said.qualities, *said.sources, *said.contacts, *said.failures, *said.channels, *said.amount_reasons):
        assert re.search("[а-яё]", one.text.ru), one
        assert re.search("[a-z]", one.text.en), one


def test_every_reason_that_the_page_on_consumption_names_has_words() -> None:
    table = CONSUMPTION.read_text(encoding="utf-8").partition("| reason | meaning |")[2].partition("\n\n")[0]
    told = {code for row in table.splitlines() for code in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")}
    assert told == set(AMOUNT_REASONS)


def test_units_and_channels_are_those_of_the_domain() -> None:
    assert set(UNITS) == {*_ENERGY_UNITS.values(), *_POWER_UNITS.values()}
    assert {unit_of(channel) for channel in CHANNELS} <= set(UNITS)
    assert CHANNELS["1.8.2"].ru == "активная энергия, тарифная зона Т2"
    assert CHANNELS["52.7.0"].en == "voltage, phase 2"
    assert (QUALITIES["suspect"].ru, SOURCES["automatic"].ru) == ("недостоверно", "дистанционно")
