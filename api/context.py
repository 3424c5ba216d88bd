"""What every request can reach: the database, the door, who may come in, and the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from api.choices import ApiSettings as ApiSettings
from api.choices import Knowledge as Knowledge
from api.choices import ModelFacts as ModelFacts
from api.doorkeeper import Doorkeeper
from api.events_hub import EventHub
from api.limiter import Limiter
from ingest.intake import Intake
from storage.database import Database
from storage.plans import keep_plans


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

    def look(self) -> AbstractAsyncContextManager[Any]:
        """A connection for look-ups alone: each stands by itself, and none changes anything."""
        return self.database.single()

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
