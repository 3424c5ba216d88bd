"""What a session with a meter needs besides its address: passwords, level, the zone of its clock. Pure.

They are options of the meter, or of its line for all meters on it; where neither has a password the model's own
defaults are tried. A password is never shown: not in a representation, a log or an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors.line_settings import SESSION_OPTIONS
from collectors.mistake import Mistake
from collectors.toml_table import Table
from ingest.errors import Misconfigured
from ingest.model import Line, Polled

_HEX = "hex:"
_OPTIONS = SESSION_OPTIONS | {"constant"}


class Password:
    """The bytes of a password, which show themselves to nobody."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def read(cls, text: str) -> Password:
        """From a file: the characters themselves, or `hex:` and pairs of digits. ValueError without the text."""
        try:
            return cls(bytes.fromhex(text.removeprefix(_HEX)) if text.startswith(_HEX) else text.encode("ascii"))
        except ValueError:
            raise ValueError("a password is plain characters, or hex: and pairs of hexadecimal digits") from None

    def reveal(self) -> bytes:
        """For the frame that opens a session, and nothing else."""
        return self._secret

    def __repr__(self) -> str:
        return "•••"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._secret)


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """`passwords` in the order in which they are tried; `zone` is what the meter's own clock shows."""

    passwords: tuple[Password, ...]
    level: int
    zone: ZoneInfo
    constant: int | None
    """Impulses per kWh, for a meter that does not say it."""


def options_of(line: Line, meter: Polled, defaults: tuple[str, ...]) -> MeterOptions:
    """Check what line and meter say. Misconfigured names the option and the remedy, never a password."""
    shared: Mapping[str, object] = {key: line.options[key] for key in SESSION_OPTIONS & line.options.keys()}
    mistakes: list[Mistake] = []
    table = Table(f"meter {meter.serial}", "", "", 0, {**shared, **meter.options}, mistakes)
    own = table.text("password", "")
    passwords = []
    for text in (own,) if own else defaults:
        try:
            passwords.append(Password.read(text))
        except ValueError as error:
            table.mistake("password", "", str(error))
    options = MeterOptions(
        passwords=tuple(passwords),
        level=table.whole("level", 1, 3, 1),
        zone=_zone(table, meter.zone),
        constant=table.whole("constant", 1, 1_000_000, 0) or None,
    )
    table.finish()
    if mistakes:
        raise Misconfigured("\n".join(str(_discreet(mistake)) for mistake in mistakes))
    return options


def _discreet(mistake: Mistake) -> Mistake:
    """The value of an option that nobody knows may be a password under a misspelled name."""
    return mistake if mistake.field in _OPTIONS else replace(mistake, value=None)


def _zone(table: Table, default: str) -> ZoneInfo:
    name = table.text("clock_zone", default)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        table.mistake("clock_zone", name, "write an IANA time zone, like Europe/Moscow")
        return ZoneInfo("UTC")
