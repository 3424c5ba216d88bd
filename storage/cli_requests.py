"""`amr meter ask`: a meter read now, through the collector that owns its line."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated

import typer

from ingest.channel import unit_of
from ingest.errors import Refused, Unreachable
from storage import requests
from storage.cli_words import HasStore, opened, run, say
from storage.database import Database
from storage.fleet_words import show_number
from storage.request_states import Request

_LOOK = 0.3


def ask_meter(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="Serial number of the meter.")],
    wait: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60.0,
) -> None:
    """Have a meter read now, ahead of the schedule, by the collector that owns its line."""
    settings: HasStore = context.obj

    async def work() -> None:
        async with opened(settings) as database:
            async with database.connection() as conn:
                request = await requests.ask(conn, f"cli:{getpass.getuser()}", meter=serial)
            if request.state == "manual":
                raise Refused(f"meter {serial} cannot be asked: {request.detail}")
            await _report(database, await _end_of(database, request, wait))

    run(work())


async def _end_of(database: Database, request: Request, wait: float) -> Request:
    loop = asyncio.get_running_loop()
    until = loop.time() + wait
    while request.open and loop.time() < until:
        await asyncio.sleep(_LOOK)
        async with database.connection() as conn:
            request = await requests.status(conn, request.id)
    return request


async def _report(database: Database, request: Request) -> None:
    if request.open:
        raise Unreachable(f"no answer yet, request {request.id} is {request.state}; see that `amr collect` runs")
    if request.read_at is None:
        raise Unreachable(f"meter {request.meter} was not read: {request.failure}: {request.detail}")
    say(f"meter {request.meter} read at {request.read_at.isoformat()}")
    async with database.connection() as conn:
        for channel, value in (await requests.values(conn, request)).items():
            say(f"  {channel:8} {show_number(value)} {unit_of(channel)}")
    if request.detail:
        say(request.detail)
