"""The company whose service this is: what it signs its files with, and on whose clocks other companies' files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.errors import Misconfigured

_MOSCOW = ZoneInfo("Europe/Moscow")


@dataclass(frozen=True, slots=True)
class Company:
    """Taxpayer number (ИНН) and name, both empty where nobody chose; `zone` is the clock of its 80020 messages.

    `senders` are the clocks of other senders, by INN; a sender that is not among them is on ours.
    """

    inn: str = ""
    name: str = ""
    zone: ZoneInfo = _MOSCOW
    senders: Mapping[str, ZoneInfo] = field(default_factory=dict)


def zone_of(setting: str, name: str) -> ZoneInfo:
    """The IANA time zone of that name. Misconfigured names the setting it came from."""
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(f"{setting} {name!r} is no time zone; write one like Europe/Samara") from error


def sender_zones(setting: str, text: str) -> dict[str, ZoneInfo]:
    """`INN=Zone, INN=Zone` as zones by INN."""
    zones = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        inn, equals, name = one.partition("=")
        if not equals or not inn.strip().isdigit():
            raise Misconfigured(f"{setting} {one!r} is no sender's zone; write 7703311228=Europe/Samara, …")
        zones[inn.strip()] = zone_of(setting, name)
    return zones
