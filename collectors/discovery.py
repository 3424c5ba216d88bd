"""Home Assistant discovery messages -> proposals for format files. Pure: an engineer reads them before they are used.

Source: home-assistant.io, MQTT discovery: `<prefix>/sensor/[<node>/]<object>/config` with one entity, or
`<prefix>/device/<id>/config` with `components`; long and abbreviated keys; `~` stands for the base topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from collectors.exact import Unfit, read_json
from collectors.meter_model import UNITS, check_unit

_LONG = {
    "stat_t": "state_topic",
    "val_tpl": "value_template",
    "unit_of_meas": "unit_of_measurement",
    "dev_cla": "device_class",
    "uniq_id": "unique_id",
    "dev": "device",
    "ids": "identifiers",
    "sn": "serial_number",
    "cmps": "components",
}
_CHANNELS = {
    "energy": (1, 8), "reactive_energy": (3, 8), "power": (1, 7), "reactive_power": (3, 7), "apparent_power": (9, 7),
    "current": (11, 7), "voltage": (12, 7), "power_factor": (13, 7), "frequency": (14, 7),
}  # fmt: skip
_EXPORT = re.compile(r"export|return|produc|inject|deliver|feed|minus", re.IGNORECASE)
_PERIOD = re.compile(r"today|yesterday|dail|month|week|year|period|hour(?!s)", re.IGNORECASE)
_TARIFF = re.compile(r"(?:tariff|rate|zone|[^a-z]t)[ _-]?([1-4])(?!\d)", re.IGNORECASE)
_PHASE = re.compile(r"(?:phase|[^a-z]l)[ _-]?([1-3])(?!\d)|phase[ _-]([abc])(?![a-z])", re.IGNORECASE)
_VALUE = re.compile(
    r"\{\{\s*value_json((?:\.\w+|\[\s*['\"][^'\"]+['\"]\s*\])+)\s*(?:\|\s*(?:float|int)(?:\(0\))?\s*)?\}\}"
)
_PLAIN = re.compile(r"\{\{\s*value\s*(?:\|\s*(?:float|int)\s*)?\}\}")
_STEP = re.compile(r"\.(\w+)|\[\s*['\"]([^'\"]+)['\"]\s*\]")


@dataclass(slots=True)
class Proposal:
    """A format file for one state topic, and the entities left out of it with the reason."""

    topic: str
    device: str
    payload: str
    fields: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """A name for the file."""
        return re.sub(r"[^a-z0-9]+", "-", self.topic.lower()).strip("-") or "proposal"

    @property
    def text(self) -> str:
        """The file's content; fields by their topic, device by its serial number or identifier."""
        head = [
            f'about = "Proposed from Home Assistant discovery: check device, channels and units"\n'
            f'source = "discovery messages of {_quoted(self.device)}"\n'
            f"topics = [{_text(self.topic)}]\n"
            f'payload = "{self.payload}"\nretained = "ignore"\ndevice = {_text(self.device)}\n'
        ]
        notes = [f"# left out: {why}\n" for why in self.left_out]
        return "\n".join([*head, *notes, *self.fields])


def propose(messages: Iterable[tuple[str, bytes]]) -> list[Proposal]:
    """One proposal for every state topic with at least one value a meter may have."""
    found: dict[str, Proposal] = {}
    for topic, payload in messages:
        for entity in _entities(topic, payload):
            _add(entity, found)
    return [one for one in found.values() if one.fields]


def _entities(topic: str, payload: bytes) -> Iterator[dict[str, object]]:
    try:
        content = _lengthened(read_json(payload))
    except (Unfit, RecursionError):
        return
    if not isinstance(content, dict) or not topic.endswith("/config"):
        return
    parts = content.get("components")
    shared = {key: value for key, value in content.items() if key != "components"}
    for part in parts.values() if isinstance(parts, dict) else [{}]:
        if isinstance(part, dict):
            yield {**shared, **part}


def _lengthened(content: object) -> object:
    if isinstance(content, dict):
        return {_LONG.get(key, key): _lengthened(value) for key, value in content.items()}
    return [_lengthened(one) for one in content] if isinstance(content, list) else content


def _add(entity: Mapping[str, object], found: dict[str, Proposal]) -> None:
    name, unit = _word(entity, "name") or _word(entity, "unique_id"), _word(entity, "unit_of_measurement")
    topic = _word(entity, "state_topic").replace("~", _word(entity, "~"))
    kind = _CHANNELS.get(_word(entity, "device_class"))
    if not topic or not topic.isprintable() or kind is None or set(topic) & set("+#{}"):
        return
    template = _word(entity, "value_template")
    plain = not template or _PLAIN.fullmatch(template.strip()) is not None
    proposal = found.setdefault(topic, Proposal(topic, _device(entity, topic), "number" if plain else "json"))
    channel = _channel(kind, f" {name} {_word(entity, 'unique_id')} {template}")
    path = "" if plain else _path(template)
    unit = "1" if kind == (13, 7) and unit in ("", "%") else unit
    if why := _unfit(channel, unit, path, template, f"{name} {template}", _word(entity, "unit_of_measurement")):
        proposal.left_out.append(f"{_quoted(name)}: {why}")
    elif (proposal.payload == "number") != plain:
        proposal.left_out.append(f"{_quoted(name)}: another entity reads this topic in another way")
    else:
        way = "" if plain else f"path = {_text(path or '')}\n"
        scale = 'scale = "0.01"\n' if _word(entity, "unit_of_measurement") == "%" else ""
        zero = 'zero = "drop"\n' if kind[1] == 8 else ""
        proposal.fields.append(
            f'[[field]]  # {_quoted(name)}\n{way}channel = "{channel}"\nunit = "{unit}"\n{scale}{zero}'
        )


def _unfit(channel: str, unit: str, path: str | None, template: str, words: str, written: str) -> str | None:
    if path is None:
        return f"its template {_quoted(template)} is not a plain way to a value"
    if unit not in UNITS or check_unit(channel, unit):
        return f"unit {_quoted(written)} does not suit channel {channel}"
    if channel.split(".")[1] == "8" and _PERIOD.search(words):
        return "it counts a period, not the meter's whole life"
    return None


def _channel(kind: tuple[int, int], words: str) -> str:
    quantity, d = kind
    if d == 8 and quantity in (1, 3) and _EXPORT.search(words):
        quantity += 1
    phase = _PHASE.search(words)
    if phase:
        quantity += 20 * (int(phase.group(1)) if phase.group(1) else " abc".index(phase.group(2).lower()))
    elif quantity in (11, 12):
        quantity += 20
    tariff = _TARIFF.search(words) if d == 8 and not phase else None
    return f"{quantity}.{d}.{tariff.group(1) if tariff else 0}"


def _path(template: str) -> str | None:
    match = _VALUE.fullmatch(template.strip())
    if match is None:
        return None
    steps = [plain or quoted for plain, quoted in _STEP.findall(match.group(1))]
    return None if not all(step.isprintable() for step in steps) else ".".join(f'"{step}"' for step in steps)


def _device(entity: Mapping[str, object], topic: str) -> str:
    device = entity.get("device")
    if isinstance(device, dict):
        identifiers = device.get("identifiers")
        first = identifiers[0] if isinstance(identifiers, list) and identifiers else identifiers
        for one in (device.get("serial_number"), first):
            if isinstance(one, str) and one.strip() and one.isprintable() and not set(one) & set("{}"):
                return one
    return topic


def _word(entity: Mapping[str, object], key: str) -> str:
    value = entity.get(key)
    return value if isinstance(value, str) else ""


def _quoted(text: str) -> str:
    """Text that may stand in a comment or between quotation marks, whatever a device called itself."""
    return "".join(letter if letter.isprintable() and letter not in '"\\' else "?" for letter in text)[:80]


def _text(text: str) -> str:
    """A TOML basic string of printable text."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
