"""One format's TOML file, read strictly: every mistake is collected and named with its line and its remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors.format_model import (
    Clock,
    Field,
    Format,
    Kind,
    Retained,
    Sample,
    TimeRule,
    compile_topic,
)
from collectors.json_path import compile_path, names_only
from collectors.meter_model import UNITS, check_unit
from collectors.mistake import Mistake, no_toml
from collectors.toml_table import Table
from ingest.channel import check_channel, is_counter, unit_of
from ingest.errors import Misconfigured

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_Compiled = TypeVar("_Compiled")


class BadFormat(Misconfigured):
    """A format file with mistakes; the message names every one of them."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def parse_format(file: str, content: bytes, presets: Mapping[str, Mapping[str, Any]] | None = None) -> Format:
    """The format in a file called `<name>.toml`; BadFormat with all that is wrong.

    `extends = "<preset>"` takes over what a preset says and this file does not; its fields are asked before the
    preset's, its serials are added.
    """
    stem = PurePath(file).stem
    mistakes: list[Mistake] = []
    try:
        text = content.decode()
        data = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFormat([no_toml(file, error)]) from error
    if not _NAME.fullmatch(stem):
        mistakes.append(Mistake(file, None, "", "file name", stem, "name it like my-plugs.toml, in small letters"))
    top = Table(file, text, "", 0, _extended(file, data, presets or {}, mistakes), mistakes)
    result = _format(stem, top)
    top.finish()
    if mistakes:
        raise BadFormat(mistakes)
    return result


def _extended(
    file: str, data: dict[str, Any], presets: Mapping[str, Mapping[str, Any]], mistakes: list[Mistake]
) -> dict[str, Any]:
    name = data.pop("extends", None)
    if name is None:
        return data
    if not isinstance(name, str) or name not in presets:
        listed = ", ".join(sorted(presets))
        mistakes.append(Mistake(file, None, "", "extends", name, f"write one of {listed}"))
        return data
    base = {key: value for key, value in presets[name].items() if key != "sample"}
    merged = {"gateway": name, **base, **data}
    for key in ("field", "serials"):
        mine, theirs = data.get(key), base.get(key)
        if isinstance(mine, list) and isinstance(theirs, list):
            merged[key] = [*mine, *theirs]
        elif isinstance(mine, dict) and isinstance(theirs, dict):
            merged[key] = {**theirs, **mine}
    return merged


def _format(name: str, top: Table) -> Format:
    kind = Kind(top.choice("payload", [kind.value for kind in Kind], Kind.JSON.value, required=True))
    time = next((_time(table) for table in top.table("time")), TimeRule())
    fields = [field for table in top.tables("field") if (field := _field(table, kind))]
    if top.raw("field") is None and kind is not Kind.OWN:
        top.mistake("field", None, "is missing; write at least one [[field]]")
    topics = _compiled(top, "topics", top.texts("topics"), compile_topic)
    devices = top.some_texts("device") or ("{device}",)
    _compiled(top, "device", [text[2:] for text in devices if text.startswith("$.")], names_only)
    each = _compiled(top, "each", top.some_texts("each")[:1], compile_path)
    timed = kind is Kind.SPARKPLUG or kind is Kind.OWN or bool(time.paths)
    return Format(
        name=name,
        about=top.text("about"),
        source=top.text("source"),
        kind=kind,
        topics=topics,
        qos=top.whole("qos", 0, 1, 1 if timed else 0),
        retained=Retained(top.choice("retained", [one.value for one in Retained], Retained.TIMED.value)),
        gateway=top.text("gateway", name),
        device=devices,
        each=each[0] if each else (),
        time=time,
        fields=tuple(fields),
        serials=top.pairs("serials"),
        error_topics=_compiled(top, "error_topics", top.some_texts("error_topics"), compile_topic),
        error_flag=top.text("error_flag", "r"),
        samples=tuple(_sample(table) for table in top.tables("sample")),
    )


def _compiled(
    table: Table, field: str, texts: Sequence[str], compile_one: Callable[[str], _Compiled]
) -> tuple[_Compiled, ...]:
    compiled: list[_Compiled] = []
    for text in texts:
        try:
            compiled.append(compile_one(text))
        except ValueError as error:
            table.mistake(field, text, str(error))
    return tuple(compiled)


def _field(table: Table, kind: Kind) -> Field | None:
    path = table.text("path", "")
    channel = table.text("channel", "")
    channels = table.some_texts("channels")
    unit, scale = table.text("unit"), table.decimal("scale", Decimal(1))
    zero = table.choice("zero", ("keep", "drop"), "keep")
    when = table.pairs("when")
    table.finish()
    if kind is Kind.JSON and not path:
        table.mistake("path", None, "is missing; write where the value stands, like ENERGY.Total")
    if not channel and not channels:
        table.mistake(
            "channel", None, "is missing; write an OBIS code like 1.8.0, or `channels` with one for each phase"
        )
    fits = [_check(table, code, unit) for code in (*([channel] if channel else []), *channels)]
    if not all(fits) or not fits:
        return None
    names: Sequence[tuple[str, ...]] = [(path,)]
    if kind is Kind.JSON:
        names = _compiled(table, "path", [path], names_only)
    counter = is_counter(channel or channels[0])
    if not names or (zero == "drop" and not counter):
        if zero == "drop":
            table.mistake("zero", zero, "only a counter's zero can be left out; a momentary 0 is a value")
        return None
    factor = scale * UNITS[unit][1]
    return Field(names[0], path or channel, when, channel or None, channels, factor, zero == "drop")


def _check(table: Table, channel: str, unit: str) -> bool:
    try:
        unit_of(check_channel(channel))
    except ValueError as error:
        table.mistake("channel", channel, str(error))
        return False
    why = check_unit(channel, unit)
    if why and unit:
        table.mistake("unit", unit, why)
    return not why


def _time(table: Table) -> TimeRule:
    zone = None
    if name := table.text("zone", ""):
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            table.mistake("zone", name, "write the name of a time zone, like Europe/Samara or UTC")
    paths = []
    for text in table.texts("paths"):
        names = _compiled(table, "paths", [text.removeprefix("$.")], names_only)
        paths += [(text.startswith("$."), one) for one in names]
    clock = Clock(table.choice("clock", [clock.value for clock in Clock], Clock.ISO.value))
    required = table.flag("required", False)
    table.finish()
    return TimeRule(tuple(paths), clock, zone, required)


def _sample(table: Table) -> Sample:
    payload = table.text("payload", "").encode()
    if digits := table.text("payload_hex", ""):
        try:
            payload = bytes.fromhex(digits)
        except ValueError:
            table.mistake("payload_hex", digits, "write hexadecimal digits")
    received = table.text("received", "2026-11-20T12:00:00+00:00")
    try:
        received_at = datetime.fromisoformat(received)
    except ValueError:
        table.mistake("received", received, "write a time with its offset")
        received_at = datetime(2026, 1, 1, tzinfo=UTC)
    sample = Sample(
        table.text("topic"),
        payload,
        received_at,
        table.flag("retained", False),
        table.some_texts("readings"),
        table.some_texts("rejects"),
    )
    table.finish()
    return sample
