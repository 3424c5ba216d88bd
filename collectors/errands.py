"""What somebody at a line wants done there while its owner polls it: a meter read, addresses scanned, frames watched.

Wishes and answers are plain JSON, because they travel through the database: see `storage.line_requests`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from collectors.catalog import Catalog
from collectors.fit import Fit, valued
from collectors.line import Owner
from collectors.line_settings import settings_of, unit_of_meter
from collectors.link import Answer, LineDown, Link
from collectors.modbus import ModbusLink
from collectors.registers import read_registers
from collectors.scan import Found, look_at, units_of
from collectors.serial_link import SerialLink
from collectors.watch import Eavesdropper
from ingest.errors import Malformed, Refused
from ingest.model import Polled

LONGEST_WATCH = 600.0
"""Seconds a line is watched at most."""
_MOST_FRAMES = 10_000
_PERIOD = timedelta(minutes=30)
_MOST_LOST = 5
"""So many lost lines in a row, and a scan is given up."""
_REOPENING = 1.5

Tell = Callable[[Mapping[str, Any]], None]


async def do_errand(owner: Owner, catalog: Catalog, kind: str, wanted: Mapping[str, Any], tell: Tell) -> None:
    """Do it and tell what comes; raises what it fails with. `kind` is read, scan or watch."""
    work = {"read": _read, "scan": _scan, "watch": _watch}.get(kind)
    if work is None:
        raise Malformed(f"nobody here knows how to {kind!r} a line; is this collector older than your command?")
    try:
        await work(owner, catalog, wanted, tell)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"the request to {kind} is not understood: {error!r}") from error


async def _read(owner: Owner, catalog: Catalog, wanted: Mapping[str, Any], tell: Tell) -> None:
    """One meter, whole: its words by channel, or for one with a protocol of its own values and facts.

    Or `registers` of a unit, as they are, without a model.
    """
    if "registers" in wanted:
        await _registers(owner, wanted["registers"], tell)
        return
    model, address = str(wanted["model"]), str(wanted["unit"])
    polled = next((one for one in owner.meters() if (one.model, one.address) == (model, address)), None)
    polled = polled or Polled(f"{model} {address}", model, address, _PERIOD)
    if catalog.serial_model(model) is None:
        unit_of_meter(polled.serial, address, settings_of(owner.line).kind)
        facts = catalog.model(model)
        words = await owner.lend(lambda link: _modbus(link).words(polled))
        values = valued(facts, words)
        for channel in (*(one.channel for one in facts.registers), *(one.channel for one in facts.sums)):
            seen, value = words.get(channel), values.get(channel)
            tell({"channel": channel, "words": seen and seen.hex(), "value": None if value is None else f"{value:f}"})
        if wanted.get("serial"):
            tell({"serial": await owner.lend(lambda link: _modbus(link).serial(polled))})
        return
    answer, said = await owner.lend(partial(_read_serial, polled=polled))
    for channel, value in answer.values.items():
        tell({"channel": channel, "words": None, "value": f"{value:f}"})
    drift = None if answer.drift is None else answer.drift.total_seconds()
    rejects = [reject.detail for reject in answer.rejects]
    tell({"serial": answer.serial, "facts": said, "drift": drift, "rejects": rejects})


async def _registers(owner: Owner, wanted: Mapping[str, Any], tell: Tell) -> None:
    unit, function, first, count = (int(wanted[name]) for name in ("unit", "function", "first", "count"))
    words = await owner.lend(lambda link: read_registers(_modbus(link), unit, function, first, count))
    for address, word in words.items():
        tell({"register": address, "word": word and word.hex()})


async def _read_serial(link: Link, polled: Polled) -> tuple[Answer, dict[str, str]]:
    if not isinstance(link, SerialLink):
        raise Refused(f"model {polled.model} does not speak Modbus; its line must be a serial one")
    return await link.read(polled), await link.facts(polled)


async def _scan(owner: Owner, catalog: Catalog, wanted: Mapping[str, Any], tell: Tell) -> None:
    """Address after address at the line's own speed; a meter that is due goes first after each."""
    units, timeout = units_of(str(wanted["units"])), float(wanted.get("timeout") or 0.3)
    lost = 0
    for number, unit in enumerate(units, 1):
        tell({"progress": number, "of": len(units)})
        try:
            found = await owner.lend(partial(_look, unit=unit, catalog=catalog, timeout=timeout), patient=True)
        except LineDown:
            # some gateways hang up on an address they do not know
            if (lost := lost + 1) == _MOST_LOST:
                raise
            await asyncio.sleep(_REOPENING)
            continue
        lost = 0
        if found is not None:
            tell(found_as_json(found))


async def _look(link: Link, unit: int, catalog: Catalog, timeout: float) -> Found | None:
    return await look_at(_modbus(link), unit, catalog, timeout)


async def _watch(owner: Owner, catalog: Catalog, wanted: Mapping[str, Any], tell: Tell) -> None:
    """Every frame in words for so many seconds, at most LONGEST_WATCH of them."""
    settings = settings_of(owner.line)
    models = {
        unit_of_meter(one.serial, one.address, settings.kind): catalog.model(one.model)
        for one in owner.meters()
        if catalog.serial_model(one.model) is None
    }
    count, enough = 0, asyncio.Event()

    def hear(said: str) -> None:
        nonlocal count
        count += 1
        if count <= _MOST_FRAMES:
            tell({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": said})
        else:
            enough.set()

    owner.overhear(Eavesdropper(settings.kind, models, hear).hear)
    try:
        async with asyncio.timeout(min(float(wanted.get("seconds") or LONGEST_WATCH), LONGEST_WATCH)):
            await enough.wait()
    except TimeoutError:
        pass
    finally:
        owner.overhear(None)


def _modbus(link: Link) -> ModbusLink:
    if isinstance(link, SerialLink):
        return link.modbus
    if not isinstance(link, ModbusLink):
        raise Refused("this line speaks no Modbus")
    return link


def found_as_json(found: Found) -> dict[str, Any]:
    """Somebody found, as JSON."""
    fits = [
        {
            "model": fit.model.slug,
            "serial": fit.serial,
            "values": {channel: f"{value:f}" for channel, value in fit.values.items()},
            "missing": list(fit.missing),
        }
        for fit in found.fits
    ]
    return {"unit": found.unit, "trouble": found.trouble, "fits": fits}


def found_of(said: Mapping[str, Any], catalog: Catalog) -> Found:
    """And back; models that only the collector's catalogue has are left out."""
    fits = [
        Fit(
            catalog[one["model"]],
            one["serial"],
            {channel: Decimal(value) for channel, value in one["values"].items()},
            tuple(one["missing"]),
        )
        for one in said["fits"]
        if one["model"] in catalog
    ]
    return Found(int(said["unit"]), fits, said["trouble"])
