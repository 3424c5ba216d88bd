"""Who is on a line: every speed, parity and address tried, and for who answers the models that fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from collectors.catalog import Catalog
from collectors.fit import Fit, fits
from collectors.line_settings import LineKind, settings_of
from collectors.link import LineDown, Silent
from collectors.modbus import ModbusLink
from ingest.errors import AmrError, Malformed, Misconfigured
from ingest.model import Line

SPEEDS = (9600, 19200, 2400, 4800, 38400, 115200)
"""Of serial ports, the likely ones first."""
_ASKED = ((4, 0, 1), (3, 0, 1))
"""Any read will do: who lacks the register says so. The other function for who was heard badly."""

Progress = Callable[[int], None]
"""Told each address before it is asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody answered at `unit`. `trouble` says what is wrong with the answers when they could not be read."""

    unit: int
    fits: Sequence[Fit]
    trouble: str | None = None


def tries(line: Line, bauds: Sequence[int], parities: Sequence[str]) -> list[Line]:
    """The line with every combination, the likely ones first: all speeds without parity, then the next parity."""
    return [
        replace(line, options={**line.options, "baud": baud, "parity": parity}) for parity in parities for baud in bauds
    ]


def ways(line: Line, bauds: Sequence[int], parities: Sequence[str], any_kind: bool) -> list[Line]:
    """All that is to be tried: speeds and parities of a port; with `any_kind` both ways to send frames to a host.

    Raises Misconfigured before anything is asked.
    """
    kind = settings_of(line).kind
    if kind.is_serial:
        usual = ("E", "N") if kind is LineKind.ASCII else ("N", "E")
        found = tries(line, bauds or SPEEDS, parities or usual)
    elif any_kind and kind is LineKind.TCP:
        found = [line, replace(line, kind=LineKind.RTU_OVER_TCP.value)]
    else:
        found = [line]
    for one in found:
        settings_of(one)
    return found


def quick(line: Line, timeout: float | None) -> Line:
    """The line with options for asking where mostly nobody is."""
    shortest = 0.5 if settings_of(line).kind is LineKind.TCP else 0.2
    timeout = shortest if timeout is None else timeout
    return replace(line, options={**line.options, "check_serial": True, "timeout": timeout, "late": 0.5, "quiet": 0.02})


def units_of(text: str) -> list[int]:
    """Addresses like `1-32,100`. Misconfigured when it is not that."""
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() for end in ends) or not 0 <= int(ends[0]) <= int(ends[1]) <= 255:
            raise Misconfigured(
                f"--units {text!r}: {piece.strip()!r} is no address; write like 1-32,100, within 0 to 255"
            )
        found += range(int(ends[0]), int(ends[1]) + 1)
    return list(dict.fromkeys(found))


async def scan(line: Line, units: Iterable[int], catalog: Catalog, progress: Progress) -> AsyncIterator[Found]:
    """Ask every address of a line once. Raises LineDown when the line cannot be opened or does not come back."""
    link = ModbusLink(line, catalog)
    try:
        await link.open()
        for unit in units:
            progress(unit)
            try:
                found = await look_at(link, unit, catalog)
            except LineDown:
                # some gateways hang up on an address they do not know
                await link.open()
                continue
            if found is not None:
                yield found
    finally:
        await link.close()


async def look_at(link: ModbusLink, unit: int, catalog: Catalog, timeout: float = 1.0) -> Found | None:
    """Who answers at an address, None: nobody. `timeout` holds where the line has none of its own. LineDown passes."""
    trouble = None
    for function, address, count in _ASKED:
        try:
            await link.ask(unit, function, address, count, timeout)
        except Silent:
            return None if trouble is None else Found(unit, (), trouble)
        except Malformed as error:
            trouble = str(error)
            continue
        except LineDown:
            raise
        except AmrError:
            pass  # a refusal is an answer
        return Found(unit, await fits(link, unit, catalog.values()))
    return Found(unit, (), trouble)
