"""The formats a subscriber understands: presets by name and a folder of the user's own, chosen by topic."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from collectors.exact import Unfit
from collectors.format_file import BadFormat, parse_format
from collectors.format_model import Format, Kind
from collectors.mapping import Mapper
from collectors.payload import LARGEST_PAYLOAD, Message, Parsed, refused
from collectors.plain_json import read_plain
from ingest.delivery import Delivery
from ingest.errors import Misconfigured

OWN = "own-json"
MOST_TOPICS = 100_000
LONGEST_TOPIC = 1_000
"""MQTT allows 65 535 bytes; what was found for a topic is remembered with it."""
_BARE = b'{"readings":'


class Route(NamedTuple):
    """Where messages of one topic go: what it captured, the gateway it speaks for, whether it tells of read errors.

    `own`: it is our own JSON.
    """

    mapper: Mapper
    captures: Mapping[str, str]
    gateway: str
    of_errors: bool
    own: bool


class Formats:
    """Formats in order: the first one with a topic that fits reads the message."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._mappers = [Mapper(one) for one in formats]
        self._routes: dict[str, Route | None] = {}

    @property
    def formats(self) -> Sequence[Format]:
        """What is in use, in order."""
        return [mapper.format for mapper in self._mappers]

    @property
    def filters(self) -> dict[str, int]:
        """Topic filters to subscribe to, and with which QoS.

        A format without a time of its own has QoS 0: what a broker kept for us while we were away would be stamped
        with the time of our return.
        """
        wanted: dict[str, int] = {}
        for one in self.formats:
            for topic in (*one.topics, *one.error_topics):
                wanted[topic.filter] = max(wanted.get(topic.filter, 0), one.qos)
        return wanted

    def parse(self, message: Message) -> Delivery:
        """A message as a delivery. Never raises for what a payload holds."""
        route = self._route(message.topic)
        if route is not None and route.own and message.payload.startswith(_BARE) and not message.cut:
            plain = read_plain(message.payload) if len(message.payload) <= LARGEST_PAYLOAD else None
            if plain is not None and not plain[1]:  # as nearly all are; a third of the work of what follows
                return Delivery(f"mqtt:{message.topic}", plain[0], raw=message.payload, gateway=route.gateway)
        parsed, gateway = self.read(message)
        return Delivery(
            f"mqtt:{message.topic}",
            parsed.readings,
            parsed.rejects,
            [contact._replace(gateway=gateway) for contact in parsed.contacts],
            parsed.intervals,
            message.payload,
            gateway,
            parsed.receipt,
        )

    def read(self, message: Message) -> tuple[Parsed, str]:
        """What a message says, what was left out and why, and the gateway it speaks for (never empty)."""
        route = self._route(message.topic)
        if route is None:
            told = "no format answers to topic {:.200}; add a mapping for it"
            if len(message.topic) > LONGEST_TOPIC:
                told = f"topic {{:.200}} has {len(message.topic)} characters; use at most {LONGEST_TOPIC}"
            unfit = Unfit("unknown_topic", told.format(repr(message.topic)))
            return refused(message.payload, unfit), message.topic
        if route.of_errors:
            return route.mapper.note_error(message.payload, route.captures), route.gateway
        return route.mapper.read(message, route.captures), route.gateway

    def requests(self) -> list[tuple[str, bytes]]:
        """Messages to publish that came up while reading (a Sparkplug rebirth), given out once."""
        due = [request for mapper in self._mappers for request in mapper.requests]
        for mapper in self._mappers:
            mapper.requests.clear()
        return due

    def _route(self, topic: str) -> Route | None:
        if topic not in self._routes:
            if len(topic) > LONGEST_TOPIC:
                return None
            if len(self._routes) >= MOST_TOPICS:
                self._routes.clear()
            self._routes[topic] = self._find(topic)
        return self._routes[topic]

    def _find(self, topic: str) -> Route | None:
        for mapper in self._mappers:
            for patterns, of_errors in ((mapper.format.error_topics, True), (mapper.format.topics, False)):
                for pattern in patterns:
                    if match := pattern.pattern.fullmatch(topic):
                        captures = match.groupdict()
                        own = mapper.format.kind is Kind.OWN and not of_errors
                        return Route(mapper, captures, mapper.gateway(captures), of_errors, own)
        return None


def presets() -> dict[str, Format]:
    """The formats that come with this service, by name."""
    return {name: parse_format(f"{name}.toml", content) for name, content in _shipped().items()}


def load_formats(names: Iterable[str] = (OWN,), folder: Path | None = None) -> Formats:
    """The user's own formats first, then the named presets that none of them replaces by its name.

    Raises Misconfigured for an unknown preset and for every mistake in the folder's files.
    """
    own = {} if folder is None else read_folder(folder)
    shipped = presets()
    chosen = list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in shipped]
    if unknown:
        raise Misconfigured(f"MQTT format {unknown[0]!r} is unknown; write some of {', '.join(sorted(shipped))}")
    return Formats([*own.values(), *(shipped[name] for name in chosen if name not in own)])


def read_folder(folder: Path) -> dict[str, Format]:
    """Every format file of a folder, by name."""
    if not folder.is_dir():
        raise Misconfigured(f"formats folder {str(folder)!r} is not a folder; name the one your mappings are in")
    found: dict[str, Format] = {}
    mistakes: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            one = read_file(path)
            found[one.name] = one
        except BadFormat as bad:
            mistakes += [str(mistake) for mistake in bad.mistakes]
    if mistakes:
        raise Misconfigured("\n".join(mistakes))
    return found


def read_file(path: Path) -> Format:
    """One format file of the user's; it may extend a preset."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise Misconfigured(f"format file {str(path)!r} cannot be read ({e}); name a readable file") from e
    return parse_format(str(path), content, _preset_tables())


def _shipped() -> Mapping[str, bytes]:
    folder = files("collectors.formats")
    return {entry.name[:-5]: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".toml")}


def _preset_tables() -> dict[str, dict[str, Any]]:
    return {name: tomllib.loads(content.decode()) for name, content in _shipped().items()}
