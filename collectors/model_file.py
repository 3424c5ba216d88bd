"""One meter model's TOML file, read strictly: every mistake is collected and named with its line and its remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import PurePath
from typing import TypedDict, TypeVar

from collectors.meter_model import UNITS, Kind, Model, ModelRegister, Order, Sample, SerialRegister, Sum, check_unit
from collectors.mistake import Mistake, by_line, no_toml
from collectors.toml_table import Table
from ingest.channel import check_channel, is_counter
from ingest.errors import Misconfigured

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_ORDERS = tuple(order.value for order in Order)
_FUNCTIONS = (3, 4)
_REGISTER_KINDS = tuple(kind.value for kind in Kind)
_TEXT = "text"


_Read = TypeVar("_Read")


class BadModel(Misconfigured):
    """A model file with mistakes; `mistakes` holds every one of them."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = by_line(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What the top of a file says for all of its registers."""

    base: int
    function: int
    word_order: Order
    byte_order: Order


def parse_model(name: str, content: bytes) -> Model:
    """The model in a file called `<slug>.toml`. Raises BadModel with all that is wrong."""
    path = PurePath(name)
    mistakes: list[Mistake] = []
    try:
        text = content.decode("utf-8")
        data = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadModel([no_toml(name, error)]) from error
    if not _SLUG.fullmatch(path.stem):
        mistakes.append(Mistake(name, None, "", "file name", path.name, "name it maker-model.toml in small letters"))
    model = _model(path.stem, Table(name, text, "", 0, data, mistakes))
    if mistakes:
        raise BadModel(mistakes)
    return model


def _model(slug: str, top: Table) -> Model:
    top.choice("protocol", ("modbus",), "modbus")
    defaults = _Defaults(
        base=top.choice("base", (0, 1), 0),
        function=top.choice("function", _FUNCTIONS, 3),
        word_order=Order(top.choice("word_order", _ORDERS, Order.HIGH_FIRST.value)),
        byte_order=Order(top.choice("byte_order", _ORDERS, Order.HIGH_FIRST.value)),
    )
    described = [(table, _register(table, defaults)) for table in top.tables("register")]
    registers = _all(register for _, register in described)
    model = Model(
        slug=slug,
        manufacturer=top.text("manufacturer"),
        name=top.text("name"),
        source=top.text("source"),
        base=defaults.base,
        registers=registers,
        sums=_all(_sum(table, registers) for table in top.tables("sum")),
        serial=next((_serial(table, defaults) for table in top.table("serial")), None),
        samples=_all(_sample(table, defaults, registers) for table in top.tables("sample")),
        max_registers=top.whole("max_registers", 1, 125, 125),
        max_gap=top.whole("max_gap", 0, 124, 0),
        timeout=top.seconds("timeout", 0.05, 30.0, 1.0),
        pause=top.seconds("pause", 0.0, 10.0, 0.0),
    )
    top.finish()
    _check_whole(top, model)
    _check_places([(table, register) for table, register in described if register is not None], model.base)
    return model


def _all(read: Iterable[_Read | None]) -> tuple[_Read, ...]:
    """What could be read: the rest is among the mistakes."""
    return tuple(one for one in read if one is not None)


def _register(table: Table, defaults: _Defaults) -> ModelRegister | None:
    channel = _channel(table)
    kind = Kind(table.choice("type", _REGISTER_KINDS, Kind.UINT16.value, required=True))
    unit = table.choice("unit", tuple(UNITS), "1", required=True)
    if channel and (why := check_unit(channel, unit)):
        table.mistake("unit", unit, why)
    scale = table.decimal("scale", Decimal(1))
    if scale == 0 or len(scale.as_tuple().digits) > 8:
        table.mistake("scale", str(scale), 'write a number other than 0 of at most 8 digits, like "0.01"')
    register = ModelRegister(
        channel=channel or "1.8.0",
        address=_address(table, defaults.base, kind.words),
        function=table.choice("function", _FUNCTIONS, defaults.function),
        kind=kind,
        factor=scale * UNITS[unit][1],
        unit=unit,
        word_order=Order(table.choice("word_order", _ORDERS, defaults.word_order.value)),
        byte_order=Order(table.choice("byte_order", _ORDERS, defaults.byte_order.value)),
        not_available=frozenset(table.wholes("not_available", 0, 2 ** (16 * kind.words) - 1)),
        **_spec(table, channel),
    )
    table.finish()
    return register if channel else None


def _sum(table: Table, registers: Sequence[ModelRegister]) -> Sum | None:
    channel = _channel(table)
    parts = table.texts("parts")
    known = {register.channel for register in registers}
    for part in parts:
        if part not in known:
            table.mistake("parts", part, "name channels of [[register]] tables of this file")
    if len(set(parts)) < max(2, len(parts)):
        table.mistake("parts", list(parts), "name at least two different channels")
    spec = _spec(table, channel)
    table.finish()
    return Sum(channel, parts, **spec) if channel else None


def _serial(table: Table, defaults: _Defaults) -> SerialRegister:
    kind = table.choice("type", (_TEXT, Kind.UINT16.value, Kind.UINT32.value, Kind.UINT64.value), _TEXT, required=True)
    words = table.whole("words", 1, 32, 8) if kind == _TEXT else Kind(kind).words
    serial = SerialRegister(
        address=_address(table, defaults.base, words),
        function=table.choice("function", _FUNCTIONS, defaults.function),
        words=words,
        text=kind == _TEXT,
        offset=table.whole("offset", 0, 2**63 - 1, 0),
        word_order=Order(table.choice("word_order", _ORDERS, Order.HIGH_FIRST.value)),
    )
    table.finish()
    return serial


def _sample(table: Table, defaults: _Defaults, registers: Sequence[ModelRegister]) -> Sample | None:
    channel = _channel(table)
    register = next((one for one in registers if one.channel == channel), None)
    if channel and register is None:
        table.mistake("channel", channel, "name the channel of a [[register]] table of this file")
    words = table.hexadecimal("words")
    if register and words and len(words) != 2 * register.words:
        table.mistake("words", words.hex(" ", 2), f"write {register.words} words of four hexadecimal digits")
    address = _address(table, defaults.base, register.words if register else 1)
    if register and address != register.address:
        table.mistake("address", table.raw("address"), "write the address of that channel's register")
    expected = table.decimal_or_none("expected", "none")
    table.text("about", "")
    table.finish()
    return Sample(address, words, channel, expected) if channel and register and words else None


def _channel(table: Table) -> str | None:
    channel = table.text("channel")
    if not channel:
        return None
    try:
        check_unit(check_channel(channel), "1")
    except ValueError as error:
        table.mistake("channel", channel, str(error))
        return None
    return channel


def _address(table: Table, base: int, words: int) -> int:
    """The wire address: what the file says less its base."""
    said = table.whole("address", base, 0xFFFF + base, base, required=True)
    wire = said - base
    if wire + words > 0x10000:
        table.mistake("address", hex(said), f"leave room for {words} registers below {0x10000 + base:#x}")
    return wire


class _Spec(TypedDict):
    digits: int | None
    decimals: int
    max_rate: Decimal | None


def _spec(table: Table, channel: str | None) -> _Spec:
    counter = channel is not None and is_counter(channel)
    digits = table.whole("digits", 1, 12, 0)
    rate = table.decimal_or_none("max_rate")
    if not counter and (digits or rate is not None):
        table.mistake("digits" if digits else "max_rate", digits or str(rate), "leave it out: only energies roll over")
    if rate is not None and rate <= 0:
        table.mistake("max_rate", str(rate), "write the greatest plausible kWh per hour, above 0")
    return {"digits": digits or None, "decimals": table.whole("decimals", 0, 6, 3), "max_rate": rate}


def _check_whole(top: Table, model: Model) -> None:
    """Mistakes that only show when the tables are seen together."""
    if not model.registers:
        top.mistake("register", None, "describe at least one value in a [[register]] table")
    summed = {one.channel for one in model.sums} & {one.channel for one in model.registers}
    sums = [one.channel for one in model.sums]
    for channel in sorted(summed | {channel for channel in sums if sums.count(channel) > 1}):
        top.mistake("sum", channel, "describe a channel once")
    widest = max((register.words for register in model.registers), default=1)
    if widest > model.max_registers:
        top.mistake("max_registers", model.max_registers, f"allow at least the {widest} of the widest register")


def _check_places(described: Sequence[tuple[Table, ModelRegister]], base: int) -> None:
    """Registers that are there twice, or lie over each other."""
    seen: set[str] = set()
    for table, register in described:
        if register.channel in seen:
            table.mistake("channel", register.channel, "describe a channel once")
        seen.add(register.channel)
    for function in _FUNCTIONS:
        placed = sorted((one for one in described if one[1].function == function), key=lambda one: one[1].address)
        for (_, before), (table, register) in pairwise(placed):
            if register.address < before.end:
                said = f"{register.channel} lies over {before.channel}; correct one of them"
                table.mistake("address", hex(register.address + base), said)
