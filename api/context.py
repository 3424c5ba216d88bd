"""What every request can reach: the database, the door, who may come in, and the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request

from api.doorkeeper import Doorkeeper
from ingest.intake import Intake
from storage.database import Database


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What a deployment may choose. `token_ttl` is how long a revoked token may still work."""

    token_ttl: timedelta = timedelta(seconds=2)
    body_limit: int = 64 * 1024
    page_limit: int = 5_000
    interval_limit: int = 20_000


@dataclass(frozen=True, slots=True)
class Context:
    """The rooms a request may enter."""

    database: Database
    intake: Intake
    doorkeeper: Doorkeeper
    settings: ApiSettings
    now: Callable[[], datetime]


async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


Here = Annotated[Context, Depends(_context)]
