"""How the fleet is written for people: numbers, lengths of time, installations and their spans. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from ingest.model import Installation
from storage.fleet_model import Contract


def place_of(installation: Installation) -> str:
    """An installation's name for people."""
    return f"{installation.meter} at {installation.point}, {installation.since.isoformat()}"


def span_of(one: Installation | Contract) -> str:
    """The time it covers, for people."""
    return f"since {one.since.isoformat()}" + ("" if one.until is None else f" until {one.until.isoformat()}")


def show_number(number: Decimal) -> str:
    """A number in plain digits, without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show_period(period: timedelta) -> str:
    """A length of time as a fleet file writes it, in whole seconds."""
    seconds = int(period.total_seconds())
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
