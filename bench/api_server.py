"""One of the two that are measured, in a process of its own on one core: our application, or a bare one."""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import gc
import os
import pickle
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import uvloop
from fastapi import FastAPI, Request, Response

from api.app import create_app
from api.cli import serving
from api.context import ApiSettings
from bench.api_recorded import Recorded, packed
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import Reading, Source
from storage import audit, points
from storage.database import Database, DatabaseSettings, open_database
from storage.readings import PostgresStore


def bare(database: Database, pages: Recorded) -> FastAPI:
    """Routes that ask the database the same, and do nothing else. Entries go through the same door, unchecked."""
    app = FastAPI()
    intake = Intake(PostgresStore(database))

    async def read(request: Request) -> Response:
        page = pages[request.url.path]
        async with database.single() as conn:
            for query, parameters, binary in page.statements:
                cursor = await conn.execute(query, packed(parameters), binary=bool(binary))
                if cursor.description is not None:
                    await cursor.fetchall()
        return Response(page.body, media_type="application/json")

    @app.get("/api/v1/points/{code}/readings/latest")
    async def latest(request: Request, code: str) -> Response:
        return await read(request)

    @app.get("/api/v1/points/{code}/statistics")
    async def statistics(request: Request, code: str) -> Response:
        return await read(request)

    @app.post("/api/v1/points/{code}/readings")
    async def enter(request: Request, code: str) -> Response:
        said = orjson.loads(await request.body())
        taken_at = datetime.fromisoformat(said["taken_at"])
        async with database.single() as conn:
            await points.find(conn, code, "bench")
            meter = await points.standing(conn, code, taken_at)
        assert meter
        readings = [
            Reading(meter.meter, channel, taken_at, Decimal(value), Source.CONSUMER, author="bench")
            for channel, value in said["values"].items()
        ]
        await intake.accept(Delivery("bench", readings), doubtful=True)
        async with database.single() as conn:
            await audit.write(conn, actor="b", role="consumer", operation="b", point=code, status=201)
        return Response(b"{}", 201, media_type="application/json")

    return app


async def run(kind: str, dsn: str, end: str, file: str) -> None:
    """Serve until nobody holds our input."""
    gc.set_threshold(100_000, 50, 1000)  # as the service does
    pages: Recorded = pickle.loads(await asyncio.to_thread(Path(file).read_bytes))
    async with open_database(DatabaseSettings(dsn, Path())) as database:
        if kind == "ours":
            now = datetime.fromisoformat(end)
            intake = Intake(PostgresStore(database))
            app = create_app(database, intake, settings=ApiSettings(rate=0), now=lambda: now)
        else:
            app = bare(database, pages)
        async with serving(app, "127.0.0.1", 0) as url:
            print(url.rsplit(":", 1)[1], flush=True)
            await asyncio.to_thread(sys.stdin.read)


def main(arguments: list[str]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    profile: Any = cProfile.Profile() if len(arguments) > 4 else contextlib.nullcontext()
    with profile:
        uvloop.run(run(*arguments[:4]))
    if len(arguments) > 4:
        profile.dump_stats(arguments[4])


if __name__ == "__main__":
    main(sys.argv[1:])
