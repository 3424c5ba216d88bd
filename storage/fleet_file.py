"""The fleet as a TOML file, read strictly: every mistake of the whole file is reported together.

    [[line]]          name, kind, address, options
    [[point]]         code, name, address, zone, category, official_code
    [[meter]]         serial, model, line + address | gateway | neither (read by people), period, options, registers,
                      verified_until
    [[installation]]  point, meter, since, until, ct, vt, opening, closing
    [[contract]]      consumer, point, since, until

What a file refers to may stand in it or be stored already. Pure: `stored` carries what the database knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from sys import intern
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.errors import Misconfigured
from ingest.model import Installation, Line, Meter, MeteringPoint, RegisterSpec
from storage.fleet_entry import Entry
from storage.fleet_mistake import FleetMistakes, Mistake
from storage.fleet_model import Contract, Fleet, FleetMeter, LineCheck, MeterCheck, Models, overlap
from storage.fleet_names import parse
from storage.fleet_secrets import NothingToKeep, restored
from storage.fleet_tables import table_entries, unknown_tables
from storage.fleet_wires import KINDS, bus_mistake, wire_mistake
from storage.fleet_words import span_of

_ONE = Decimal(1)


def read_fleet(
    text: str,
    models: Models,
    stored: Fleet,
    check_line: LineCheck | None = None,
    check_meter: MeterCheck | None = None,
    tables: dict[str, Any] | None = None,
) -> Fleet:
    """What the file says, every reference resolved. Raises FleetMistakes with all that is wrong.

    A meter has the registers its model has in `models`, overridden by those described in the file. A password written
    as stars is the stored one. `tables` are the file as `parse` gives it, where that is done already; they are used up.
    """
    return _Reader(text, parse(text) if tables is None else tables, models, stored, check_line, check_meter).read()


@dataclass(slots=True)
class _Reader:
    """Goes through the tables in the order in which they refer to each other."""

    text: str
    tables: dict[str, Any]
    models: Models
    stored: Fleet
    check_line: LineCheck | None
    check_meter: MeterCheck | None
    mistakes: list[Mistake] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)
    points: dict[str, MeteringPoint] = field(default_factory=dict)
    meters: dict[str, FleetMeter] = field(default_factory=dict)
    installations: list[Installation] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    wires: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    buses: dict[tuple[str, str], str] = field(default_factory=dict)
    at_point: dict[str, list[Installation]] = field(default_factory=dict)
    of_meter: dict[str, list[Installation]] = field(default_factory=dict)
    contracts_of: dict[tuple[str, str], list[Contract]] = field(default_factory=dict)
    of_model: dict[str, Mapping[str, RegisterSpec]] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    """Entries that are in the file but wrong: references to them are not wrong on top of it."""

    def read(self) -> Fleet:
        readers: dict[str, Callable[[Entry], None]] = {
            "line": self._line,
            "point": self._point,
            "meter": self._meter,
            "installation": self._installation,
            "contract": self._contract,
        }
        self.mistakes += unknown_tables(self.tables, readers.keys())
        for table, reader in readers.items():
            for entry, raw in table_entries(self.text, self.tables, table, self.mistakes):
                reader(entry)
                entry.finish()
                if not entry.sound:
                    self._forget(table, raw)
        if self.mistakes:
            raise FleetMistakes(self.mistakes)
        return Fleet(self.lines, self.points, self.meters, self.installations, self.contracts)

    def _forget(self, table: str, raw: Mapping[str, Any]) -> None:
        key = {"line": "name", "point": "code", "meter": "serial"}.get(table)
        if key is not None and isinstance(raw.get(key), str):
            self.broken.add((table, raw[key]))

    def _line(self, entry: Entry) -> None:
        kind = entry.text("kind")
        line = Line(entry.text("name"), kind, entry.text("address"))
        known = self.stored.lines.get(line.name)
        line = replace(line, options=_options(entry, known.options if known else {}))
        if kind and kind not in KINDS:
            entry.wrong("kind", f"is not a kind of line; known are {', '.join(KINDS)}")
        if mistake := wire_mistake(line):
            entry.wrong("address", mistake)
        if line.name in self.lines or ("line", line.name) in self.broken:
            entry.wrong("name", "two lines have this name; give each its own")
        other = self.wires.setdefault(line.address, line.name)
        if other != line.name and line.address:
            entry.wrong("address", f"line {other!r} has it too; one wire is one line, put its meters there")
        if entry.sound and self.check_line is not None:
            try:
                self.check_line(line)
            except Misconfigured as e:
                entry.wrong("options", str(e), line.options)
        if entry.sound:
            self.lines[line.name] = line

    def _point(self, entry: Entry) -> None:
        default = MeteringPoint("any")
        point = MeteringPoint(
            code=entry.text("code"),
            name=entry.text("name", ""),
            address=entry.text("address", ""),
            zone=intern(entry.text("zone", default.zone)),
            category=intern(entry.text("category", default.category)),
            official_code=entry.text_or_none("official_code"),
        )
        try:
            ZoneInfo(point.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            entry.wrong("zone", "is not a time zone of the IANA database; write one like Europe/Samara")
        if point.code in self.points or ("point", point.code) in self.broken:
            entry.wrong("code", "two points have this code; give each its own")
        if point.official_code:
            other = self.codes.setdefault(point.official_code, point.code)
            if other != point.code:
                entry.wrong("official_code", f"point {other} has it too; give each its own")
        if entry.sound:
            self.points[point.code] = point

    def _meter(self, entry: Entry) -> None:
        meter = Meter(
            serial=entry.text("serial"),
            model=intern(entry.text("model")),
            line=entry.text_or_none("line"),
            address=entry.bus_address("address"),
            gateway=entry.text_or_none("gateway"),
            period=entry.period("period", timedelta(minutes=30)),
            verified_until=entry.day_or_none("verified_until"),
        )
        stored = self.stored.meters.get(meter.serial)
        meter = replace(meter, options=_options(entry, stored.meter.options if stored else {}))
        registers = self._registers(meter.model, entry.registers("registers"))
        if meter.model and meter.model not in self.models and not entry.has("registers"):
            known = ", ".join(sorted(self.models)) or "none"
            near = get_close_matches(meter.model, self.models, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            entry.wrong("model", f"is not in the catalogue; {hint}known are {known}; or describe its registers here")
        elif entry.sound and not registers:
            entry.wrong("registers", 'describe at least one, like [{channel="1.8.0", digits=6, decimals=2}]')
        if meter.serial in self.meters or ("meter", meter.serial) in self.broken:
            entry.wrong("serial", "two meters have this serial number; a serial number is one device")
        self._road(entry, meter)
        if entry.sound:
            self.meters[meter.serial] = FleetMeter(meter, registers)

    def _registers(self, model: str, own: Mapping[str, RegisterSpec]) -> Mapping[str, RegisterSpec]:
        """A model's registers and a meter's own. Of a region nearly all meters have their model's: they share them."""
        usual = self.of_model.get(model)
        if usual is None:
            usual = self.of_model[model] = {spec.channel: spec for spec in self.models.get(model, ())}
        return {**usual, **own} if own else usual

    def _road(self, entry: Entry, meter: Meter) -> None:
        """How the meter is reached: a bus address on a line, a gateway, or neither."""
        if entry.has("gateway") and entry.has("line"):
            entry.wrong("gateway", "a meter is reached by a line or by a gateway; keep one of them")
        if entry.has("line") and not entry.has("address"):
            entry.wrong("address", "is missing; write the meter's address on its line")
        if entry.has("address") and not entry.has("line"):
            entry.wrong("line", "is missing; write the name of the line this address is on")
        if meter.line is None or meter.address is None or not entry.sound:
            return
        line = self.lines.get(meter.line) or self.stored.lines.get(meter.line)
        if line is None:
            if ("line", meter.line) not in self.broken:
                entry.wrong("line", f"there is no such line; add [[line]] with name = {meter.line!r}")
            return
        mistake = bus_mistake(line, meter.address)
        if mistake is not None:
            entry.wrong("address", mistake)
        other = self.buses.setdefault((meter.line, meter.address), meter.serial)
        if other != meter.serial:
            entry.wrong("address", f"meter {other} has it on line {meter.line!r} too; give each its own")
        if entry.sound and self.check_meter is not None:
            try:
                self.check_meter(line, meter)
            except Misconfigured as e:
                entry.wrong("options" if meter.options else "address", str(e))

    def _installation(self, entry: Entry) -> None:
        point, zone = self._reference(entry, "point", self.points, self.stored.points)
        serial, _ = self._reference(entry, "meter", self.meters, self.stored.meters)
        since, until = entry.instant("since", zone), entry.instant_or_none("until", zone)
        opening, closing = entry.values("opening"), entry.values("closing")
        ct, vt = entry.number("ct", _ONE), entry.number("vt", _ONE)
        if until is not None and until <= since and entry.sound:
            entry.wrong("until", "is not after since; write the instant the meter was taken down")
        if closing and until is None and entry.sound:
            entry.wrong("closing", "a closing reading needs until, the instant it was taken")
        known = self.meters.get(serial) or self.stored.meters.get(serial)
        if known is not None:
            for name, values in (("opening", opening), ("closing", closing)):
                self._fitting(entry, name, values, known)
        if not entry.sound:
            return
        installation = Installation(point, serial, since, until, ct, vt, opening, closing)
        for other in (*self.at_point.get(point, ()), *self.of_meter.get(serial, ())):
            if overlap(other, installation):
                whose = f"meter {other.meter} stands at point {other.point} {span_of(other)}"
                entry.wrong("since", f"{whose}; give that installation an until, or this one another time")
                return
        self.installations.append(installation)
        self.at_point.setdefault(point, []).append(installation)
        self.of_meter.setdefault(serial, []).append(installation)

    def _fitting(self, entry: Entry, name: str, values: Mapping[str, Decimal], meter: FleetMeter) -> None:
        for channel, value in values.items():
            spec = meter.registers.get(channel)
            if spec is None:
                known = ", ".join(sorted(meter.registers))
                entry.wrong(name, f"meter {meter.meter.serial} has no register {channel}; it has {known}")
            elif spec.digits is not None and value >= 10**spec.digits:
                entry.wrong(name, f"register {channel} has {spec.digits} digits before the point")

    def _contract(self, entry: Entry) -> None:
        consumer = entry.text("consumer")
        point, zone = self._reference(entry, "point", self.points, self.stored.points)
        since, until = entry.instant("since", zone), entry.instant_or_none("until", zone)
        if until is not None and until <= since and entry.sound:
            entry.wrong("until", "is not after since; write the instant the contract ended")
        contract = Contract(consumer, point, since, until)
        beside = self.contracts_of.setdefault((consumer, point), [])
        if any(overlap(other, contract) for other in beside):
            entry.wrong("since", "this consumer has another contract for this point at that time; end one of them")
        if entry.sound:
            self.contracts.append(contract)
            beside.append(contract)

    def _reference(
        self, entry: Entry, table: str, here: Mapping[str, Any], there: Mapping[str, Any]
    ) -> tuple[str, str]:
        """A name and the time zone it brings (UTC for anything but a known point)."""
        name = entry.text(table)
        found = here.get(name) or there.get(name)
        if found is None and name and (table, name) not in self.broken:
            entry.wrong(table, f"is neither in this file nor stored; add [[{table}]] for it")
        if found is None:
            entry.sound = False  # its own entry has the mistake; this one cannot be checked further
        return name, found.zone if isinstance(found, MeteringPoint) else "UTC"


def _options(entry: Entry, stored: Mapping[str, object]) -> dict[str, object]:
    """The entry's options, stored passwords in place of stars."""
    try:
        return restored(entry.options("options"), stored)
    except NothingToKeep as nothing:
        entry.wrong("options", f"no {nothing} is stored that the stars could keep; write it, or leave the option out")
        return {}
