"""What engineers may do, and how the refusals of the fleet's own rules are said: as the command line says them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends

from api.access import require
from api.doorkeeper import Caller, Role
from api.faults import Fault
from api.problem_examples import ROLES
from api.problems import RETRY_SECONDS, Problem, invalid
from api.texts import Text
from ingest.errors import Misconfigured, NotFound
from storage.database import StoreMisconfigured
from storage.fleet_lock import FleetBusy
from storage.fleet_mistake import ABSENT, FleetMistakes, Mistake, shown

Engineer = Annotated[Caller, Depends(require(Role.ENGINEER, Role.ADMIN))]
"""Whoever may look after the fleet."""

STAFF: dict[str, Any] = {ROLES: [Role.ENGINEER.value, Role.ADMIN.value]}
"""What the contract says of operations that are for engineers."""

_MOST_FAULTS = 100
_LONGEST_NAME = 200


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Say what the fleet's rules refuse: 422 with every wrong field, 404 for what is not there, 503 while somebody else
    changes it; 409 is said anyway.
    """
    try:
        yield
    except FleetMistakes as error:
        raise invalid(*(_fault(one) for one in error.mistakes[:_MOST_FAULTS])) from error
    except StoreMisconfigured:
        raise
    except Misconfigured as error:
        raise invalid(Fault("body", None, "refused", reason=str(error))) from error
    except NotFound as error:
        raise Problem("no_such_thing", reason=str(error)) from error
    except FleetBusy as error:
        who = Text("somebody", "кто-то") if error.author is None else error.author
        since = "" if error.since is None else f" ({error.since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ})"
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem("fleet_busy", headers=headers, who=who, since=since, seconds=RETRY_SECONDS) from error


def named(what: str, name: str) -> str:
    """A name from an address. Raises the 404 for one that nothing can have."""
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise no_such(what, name)
    return name


def no_such(what: str, name: str) -> Problem:
    """The 404 for a meter, a line, a model that is not there."""
    text = "".join(c if c.isprintable() else "�" for c in name[:_LONGEST_NAME])
    return Problem("no_such_thing", reason=f"there is no {what} {text!r}")


def no_model(name: str, known: Iterable[str]) -> Problem:
    """The 422 for a model that the catalogue does not have."""
    return invalid(
        Fault("model", name, "refused", reason=f"not in the catalogue; known are {', '.join(sorted(known))}")
    )


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name. Raises the 422 for one that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        reason = "not a time zone of the IANA database; write one like Europe/Samara"
        raise invalid(Fault("zone", name, "refused", reason=reason)) from error


def _fault(mistake: Mistake) -> Fault:
    line = "" if mistake.line is None else f"line {mistake.line}: "
    entry = f"{mistake.table} {mistake.entry}".strip()
    value = None if mistake.value is ABSENT else mistake.value
    value = value if value is None or isinstance(value, str) else shown(value)
    return Fault(f"{entry}: {mistake.field}", value, "refused", reason=f"{line}{mistake.remedy}")
