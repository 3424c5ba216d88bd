"""Models of meters that are only heard over MQTT: what their registers are, and no way to ask for them.

    protocol = "mqtt"
    manufacturer = "any"
    name = "…"
    source = "where these facts are from"
    [[register]]
    channels = ["1.8.0", "2.8.0"]     # registers that are alike
    digits = 6                        # integer digits, if it rolls over
    decimals = 3
    max_rate = "25"                   # the most it can count in an hour; a faster step is suspect

How a payload becomes these channels is a matter of formats (`collectors/formats`), not of the model.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from collectors.mistake import Mistake
from collectors.model_file import BadModel
from collectors.toml_table import Table
from ingest.channel import is_counter, unit_of
from ingest.model import RegisterSpec

PROTOCOL = "mqtt"


@dataclass(frozen=True, slots=True)
class PushedModel:
    """A model without a protocol of its own."""

    slug: str
    manufacturer: str
    name: str
    source: str
    specs: tuple[RegisterSpec, ...]


def parse_pushed_model(name: str, content: bytes) -> PushedModel:
    """The model in a file called `<slug>.toml`. Raises BadModel with all that is wrong."""
    mistakes: list[Mistake] = []
    text = content.decode("utf-8")
    top = Table(name, text, "", 0, tomllib.loads(text), mistakes)
    top.choice("protocol", (PROTOCOL,), PROTOCOL)
    specs = [spec for table in top.tables("register") for spec in _specs(table)]
    model = PushedModel(
        PurePath(name).stem, top.text("manufacturer"), top.text("name"), top.text("source"), tuple(specs)
    )
    top.finish()
    channels = [spec.channel for spec in specs]
    if not channels:
        top.mistake("register", None, "describe at least one value in a [[register]] table")
    for channel in sorted({channel for channel in channels if channels.count(channel) > 1}):
        top.mistake("channel", channel, "describe a channel once")
    if mistakes:
        raise BadModel(mistakes)
    return model


def _specs(table: Table) -> Iterator[RegisterSpec]:
    channels = table.texts("channels")
    digits = table.whole("digits", 1, 12, 0) or None
    decimals = table.whole("decimals", 0, 6, 3)
    max_rate = table.decimal_or_none("max_rate")
    table.finish()
    for channel in channels:
        try:
            unit_of(channel)
        except ValueError as error:
            table.mistake("channels", channel, str(error))
            continue
        if not is_counter(channel) and (digits or max_rate is not None):
            table.mistake("digits" if digits else "max_rate", channel, "leave it out: only energies roll over")
        elif max_rate is not None and max_rate <= 0:
            table.mistake("max_rate", str(max_rate), "write the greatest plausible kWh per hour, above 0")
        else:
            yield RegisterSpec(channel, digits, decimals, max_rate)
