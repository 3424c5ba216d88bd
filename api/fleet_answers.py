"""The fleet as plain dicts for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from zoneinfo import ZoneInfo

from api.answers import maybe_local, plain
from api.context import ModelFacts
from api.points import contact_json
from ingest.channel import unit_of
from ingest.delivery import Fate
from ingest.model import Installation, RegisterSpec
from storage.browse import KnownMeter, ListedLine, ListedMeter
from storage.fleet_difference import Difference
from storage.fleet_words import show_period
from storage.quarantine import Refusal
from storage.replay import Replayed

_UTC = ZoneInfo("UTC")


def model_json(name: str, model: ModelFacts) -> dict[str, object]:
    return {
        "name": name,
        "manufacturer": model.manufacturer,
        "title": model.title,
        "speaks": model.speaks,
        "source": model.source,
        "registers": [register_json(spec) for spec in model.registers],
    }


def register_json(spec: RegisterSpec) -> dict[str, object]:
    return {
        "channel": spec.channel,
        "unit": unit_of(spec.channel),
        "digits": spec.digits,
        "decimals": spec.decimals,
        "max_rate": None if spec.max_rate is None else plain(spec.max_rate),
    }


def line_json(line: ListedLine) -> dict[str, object]:
    return {
        "name": line.name,
        "kind": line.kind,
        "address": line.address,
        "options": line.options,
        "meters": line.meters,
    }


def meter_json(listed: ListedMeter) -> dict[str, object]:
    meter, contact = listed.meter, listed.contact
    remote = meter.line is not None or meter.gateway is not None
    return {
        "serial": meter.serial,
        "model": meter.model,
        "line": meter.line,
        "address": meter.address,
        "gateway": meter.gateway,
        "period": show_period(meter.period),
        "verified_until": meter.verified_until,
        "point": listed.point,
        "contact": contact_json(contact, remote, _UTC, staff=True),
    }


def meter_card_json(known: KnownMeter) -> dict[str, object]:
    return {
        **meter_json(known.listed),
        "options": known.options,
        "registers": [register_json(spec) for spec in known.registers],
        "installations": [installation_json(one, _UTC) for one in known.installations],
    }


def installation_json(one: Installation, zone: ZoneInfo) -> dict[str, object]:
    return {
        "point": one.point,
        "meter": one.meter,
        "since": one.since.astimezone(zone),
        "until": maybe_local(one.until, zone),
        "ct": plain(one.ct),
        "vt": plain(one.vt),
        "ratio": plain(one.ratio),
        "opening": _values(one.opening),
        "closing": _values(one.closing),
    }


def difference_json(difference: Difference, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        **difference.counts(),
        "items": [
            {
                "kind": item.kind,
                "name": item.name,
                "added": item.added,
                "changes": [{"field": one.field, "old": one.old, "new": one.new} for one in item.changes],
            }
            for item in difference.items
        ],
        "absent": [{"kind": one.kind, "count": one.count, "names": list(one.names)} for one in difference.absent],
        "text": difference.text(),
    }


def piece_json(one: Refusal) -> dict[str, object]:
    return {
        "id": one.id,
        "origin": one.origin,
        "reason": one.reason,
        "detail": one.detail,
        "meter": one.meter,
        "channel": one.channel,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "times": one.times,
        "size": one.size,
    }


def replayed_json(said: Replayed) -> dict[str, object]:
    return {
        "tried": said.tried,
        "left": said.left,
        **{fate.value: said.fates[fate] for fate in (Fate.STORED, Fate.REPEATED, Fate.SUPERSEDED)},
        "suspect": said.suspect,
        "intervals": said.intervals,
        "stay": dict(sorted(said.stay.items())),
        "next": said.upto,
    }


def _values(values: Mapping[str, Decimal]) -> dict[str, str]:
    return {channel: plain(value) for channel, value in values.items()}
