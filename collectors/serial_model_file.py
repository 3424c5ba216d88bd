"""A model file with `protocol = …` other than Modbus, read strictly: every mistake with its line and its remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import PurePath
from typing import TypedDict

from collectors.archive import Kind
from collectors.iec_frames import Bcc
from collectors.mercury_numbers import KINDS
from collectors.mistake import Mistake
from collectors.model_file import BadModel
from collectors.serial_model import Archive, Ask, Item, LoadProfile, Reach, Sample, SerialModel, Tongue
from collectors.toml_table import Table
from ingest.channel import is_counter, unit_of

_BYTE = r"(?:[0-9A-F]{2}|\{[a-z0-9]+\}|[0-9A-F]\{monthx\})"
_HEX = re.compile(rf"{_BYTE}(?: {_BYTE})*")
_NAME = re.compile(r"[0-9A-Za-z_]{1,16}\([^()]*\)", re.ASCII)
_OBIS = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_FIELDS = frozenset(("day", "month", "year", "month0", "monthx"))
_SKIP = "-"
_NUMBER = "number"


def protocol_of(content: bytes) -> str:
    """What a model file says it speaks; "modbus" when it says nothing or cannot be read (its reader will tell why)."""
    try:
        said = tomllib.loads(content.decode("utf-8")).get("protocol", "modbus")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return "modbus"
    return said if isinstance(said, str) else ""


def parse_serial_model(name: str, content: bytes) -> SerialModel:
    """The model in a file called `<slug>.toml` that names its protocol. Raises BadModel with all that is wrong."""
    mistakes: list[Mistake] = []
    text = content.decode("utf-8")
    top = Table(name, text, "", 0, tomllib.loads(text), mistakes)
    model = _model(PurePath(name).stem, top)
    if mistakes:
        raise BadModel(mistakes)
    return model


def _model(slug: str, top: Table) -> SerialModel:
    tongue = Tongue(top.choice("protocol", tuple(one.value for one in Tongue), Tongue.IEC.value))
    readout = tongue is Tongue.IEC and top.choice("mode", ("programming", "readout"), "programming") == "readout"
    form = _Form(tongue, readout)
    asks = tuple(ask for table in top.tables("ask") for ask in _asks(table, form))
    archives = tuple(archive for table in top.tables("archive") for archive in _archives(table, form))
    model = SerialModel(
        slug=slug,
        manufacturer=top.text("manufacturer"),
        name=top.text("name"),
        source=top.text("source"),
        tongue=tongue,
        asks=asks,
        archives=archives,
        profile=next((_profile(table, tongue) for table in top.table("profile")), None),
        passwords=top.some_texts("passwords"),
        bcc=Bcc(top.choice("bcc", tuple(one.value for one in Bcc), Bcc.XOR.value)),
        readout=readout,
        serial=top.text("serial", "") or None,
        date=top.text("date", "") or None,
        time=top.text("time", "") or None,
        samples=tuple(_sample(table, (*asks, *(one.ask for one in archives))) for table in top.tables("sample")),
        unsupported=top.some_texts("unsupported"),
        timeout=top.seconds("timeout", 0.05, 30.0, 0.5 if tongue.is_binary else 1.5),
        pause=top.seconds("pause", 0.0, 10.0, 0.0),
    )
    top.finish()
    _check_whole(top, model)
    return model


class _Spec(TypedDict):
    kind: str
    factor: Decimal
    digits: int | None
    decimals: int
    max_rate: Decimal | None


class _Form:
    """How questions are written in this protocol."""

    def __init__(self, tongue: Tongue, readout: bool) -> None:
        self._tongue = tongue
        self._pattern = _HEX if tongue.is_binary else _OBIS if readout else _NAME
        self._example = "05 00 00" if tongue.is_binary else "1.8.0" if readout else "ET0PE()"

    def ask(self, table: Table, fields: frozenset[str], tariff: int | None) -> Ask:
        """A question with the values of its answer, one after another from `at` on."""
        send = self.send(table, "send", fields, tariff)
        spec = self._spec(table)
        first = table.whole("at", 0, 254, 0)
        size = table.whole("size", 1, 254, 1, required=True) if self._tongue.is_binary else 0
        width = KINDS[spec["kind"]].size if self._tongue.is_binary else 1
        items = []
        for number, written in enumerate(table.texts("channels")):
            channel = _with_tariff(written, tariff)
            if channel != _SKIP and _known(table, channel):
                items.append(Item(channel, first + number * width, **_suited(spec, channel)))
        if self._tongue.is_binary and items and items[-1].at + width > size:
            table.mistake("size", size, f"leave room for {items[-1].channel}: {items[-1].at + width} bytes")
        return Ask(send, size, tuple(items))

    def send(self, table: Table, field: str, fields: frozenset[str], tariff: int | None) -> str:
        """A question as it is written in a file, its tariff put in."""
        text = _with_tariff(table.text(field), tariff)
        used = frozenset(re.findall(r"\{(\w*)\}", text))
        if text and (not self._pattern.fullmatch(text) or not used <= fields):
            known = f" with {', '.join(sorted(fields))} in braces" if fields else ""
            table.mistake(field, text, f"write it like {self._example!r}{known}")
        return text

    def _spec(self, table: Table) -> _Spec:
        kinds = tuple(KINDS) if self._tongue.is_binary else (_NUMBER,)
        scale = table.decimal("scale", Decimal(1))
        if scale == 0:
            table.mistake("scale", "0", 'write a number other than 0, like "0.001"')
        return {
            "kind": table.choice("type", kinds, kinds[0], required=self._tongue.is_binary),
            "factor": scale,
            "digits": table.whole("digits", 1, 12, 0) or None,
            "decimals": table.whole("decimals", 0, 6, 3),
            "max_rate": table.decimal_or_none("max_rate"),
        }


def _known(table: Table, channel: str) -> bool:
    try:
        unit_of(channel)
    except ValueError as error:
        table.mistake("channels", channel, str(error))
        return False
    return True


def _suited(spec: _Spec, channel: str) -> _Spec:
    """Momentary values do not roll over."""
    return spec if is_counter(channel) else {**spec, "digits": None, "max_rate": None}


def _with_tariff(text: str, tariff: int | None) -> str:
    """{tariff} becomes a byte in hexadecimal digits, {n} the plain number."""
    return text if tariff is None else text.replace("{tariff}", f"{tariff:02X}").replace("{n}", str(tariff))


def _tariffs(table: Table) -> Sequence[int | None]:
    """`tariffs = 5` repeats a table for the sum (0) and the tariffs 1 to 4."""
    count = table.whole("tariffs", 1, 9, 0)
    return range(count) if count else (None,)


def _asks(table: Table, form: _Form) -> list[Ask]:
    asks = [form.ask(table, frozenset(), tariff) for tariff in _tariffs(table)]
    table.finish()
    return asks


def _archives(table: Table, form: _Form) -> list[Archive]:
    kind = Kind(table.choice("kind", (Kind.DAY.value, Kind.MONTH.value), Kind.DAY.value, required=True))
    reach = Reach(table.choice("reach", tuple(one.value for one in Reach), Reach.DATE.value))
    depth = table.whole("depth", 1, 10_000, 1, required=True)
    ends = table.choice("stamp", ("begin", "end"), "begin") == "end"
    proven = table.raw("proof") is not None
    archives = [
        Archive(
            kind,
            reach,
            form.ask(table, _FIELDS, tariff),
            depth,
            ends,
            form.send(table, "proof", _FIELDS, tariff) if proven else None,
        )
        for tariff in _tariffs(table)
    ]
    table.finish()
    return archives


def _profile(table: Table, tongue: Tongue) -> LoadProfile:
    if tongue is not Tongue.MERCURY_230:
        table.mistake("records", None, "leave the table out: profiles are read of the mercury-230 protocol only")
    channels = table.texts("channels")
    for channel in channels:
        _known(table, channel)
    profile = LoadProfile(
        records=table.whole("records", 1, 65_536, 4096, required=True),
        minutes=table.choice("minutes", (15, 30, 60), 30),
        channels=channels,
    )
    table.finish()
    return profile


def _sample(table: Table, asks: Sequence[Ask]) -> Sample:
    send, channel = table.text("send"), table.text("channel")
    if send and send not in (ask.send for ask in asks):
        table.mistake("send", send, "write it as an [[ask]] or [[archive]] of this file has it")
    sample = Sample(send, table.text("reply"), channel, table.decimal_or_none("expected", "none"))
    table.text("about", "")
    table.finish()
    return sample


def _check_whole(top: Table, model: SerialModel) -> None:
    if not model.asks:
        top.mistake("ask", None, "describe at least one question in an [[ask]] table")
    for channel in _repeated(item.channel for ask in model.asks for item in ask.items):
        top.mistake("channels", channel, "describe a channel once")
    known = {spec.channel for spec in model.specs}
    for archive in model.archives:
        for item in archive.ask.items:
            if item.channel not in known:
                top.mistake("channels", item.channel, "an archived register needs an [[ask]] of its own too")


def _repeated(channels: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for channel in channels:
        if channel in seen:
            yield channel
        seen.add(channel)
