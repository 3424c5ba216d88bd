"""What every request can reach: the database, the door, who may come in, and the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, Request

from api.company import Company
from api.doorkeeper import Doorkeeper
from api.events_hub import EventHub
from api.identity import IdentitySettings
from api.limiter import Limiter
from ingest.billing import Window
from ingest.consumption import Policy
from ingest.delivery import Delivery, Reject
from ingest.intake import Intake
from ingest.model import RegisterSpec
from storage.database import Database
from storage.fleet_model import LineCheck, MeterCheck, Models
from storage.held import Parse
from storage.plans import keep_plans


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What a deployment may choose.

    `token_ttl` is how long a revoked token may still work. Bodies have at most `body_limit` bytes, those that are files
    `file_limit`. `rate` requests a second (and `burst` at once) are served
    to one token by one process; a rate of 0 limits nobody. `origins` are the web origins whose pages may call us.
    `window` is when readings should be typed in, `windows` the same for categories of points that differ. A
    consumer may ask for `asked_a_day` readings in 24 hours, with `asked_at_once` of them open. One process serves
    `streams` of events, `streams_each` to one caller. `policy` says which
    source counts before which. `nominal_voltage` is that of a phase, where no transformer
    stands before the meter. `company` is who signs the files that are made here.
    """

    token_ttl: timedelta = timedelta(seconds=2)
    body_limit: int = 64 * 1024
    file_limit: int = 8 * 1024 * 1024
    interval_limit: int = 20_000
    rate: float = 50.0
    burst: int = 200
    origins: tuple[str, ...] = ()
    identity: IdentitySettings | None = None
    window: Window = field(default_factory=Window)
    windows: Mapping[str, Window] = field(default_factory=dict)
    asked_a_day: int = 10
    asked_at_once: int = 3
    policy: Policy = field(default_factory=Policy)
    nominal_voltage: Decimal = Decimal(230)
    streams: int = 500
    streams_each: int = 5
    company: Company = field(default_factory=Company)

    def window_of(self, category: str) -> Window:
        """The submission window of a category of points."""
        return self.windows.get(category, self.window)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One meter model of the catalogue: who makes it, what it speaks, where its facts are from, and its registers."""

    manufacturer: str
    title: str
    speaks: str
    source: str
    registers: tuple[RegisterSpec, ...]


def _understands_nothing(topic: str, payload: bytes, received_at: datetime) -> Delivery:
    reject = Reject("unparsed", "this process was given no formats", payload)
    return Delivery(f"mqtt:{topic}", rejects=[reject], raw=payload)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What collectors know of devices, and the API is told by whoever assembles both: models, lines, formats."""

    catalog: Mapping[str, ModelFacts] = field(default_factory=dict)
    check_line: LineCheck | None = None
    check_meter: MeterCheck | None = None
    parse: Parse = _understands_nothing

    def models(self) -> Models:
        """The registers of every model."""
        return {name: model.registers for name, model in self.catalog.items()}


@dataclass(frozen=True, slots=True)
class Context:
    """The rooms a request may enter."""

    database: Database
    intake: Intake
    doorkeeper: Doorkeeper
    limiter: Limiter
    settings: ApiSettings
    now: Callable[[], datetime]
    hub: EventHub
    knowledge: Knowledge = field(default_factory=Knowledge)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Any]:
        """A connection for look-ups alone: each stands by itself, and none changes anything."""
        async with self.database.single() as conn:
            yield conn

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Any]:
        """A connection that answers one page: look-ups by the key, by plans that are kept."""
        async with self.database.connection() as conn:
            await keep_plans(conn)
            yield conn


def context_of(request: Request) -> Context:
    """The context of the application a request came to."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


async def _context(request: Request) -> Context:
    return context_of(request)


Here = Annotated[Context, Depends(_context)]
