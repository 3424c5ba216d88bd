"""The cabinet's API: one application over a database and an intake that somebody else opened and closes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware

from api import (
    attachments,
    consumption,
    corrections,
    dictionary,
    docs,
    entry,
    events_stream,
    exports,
    fleet,
    green_button_routes,
    health,
    points,
    power_quality,
    problems,
    reading_requests,
    readings,
    service_requests,
    several,
    statement_routes,
    statistics,
    xml80020_routes,
)
from api.context import ApiSettings, Context, Knowledge
from api.doorkeeper import Doorkeeper
from api.events_hub import EventHub
from api.identity import IdentityProvider
from api.limiter import Limiter
from api.openapi import TAGS, VERSION, describe
from ingest.intake import Intake, utc_now
from storage.database import Database

PREFIX = "/api/v1"


def create_app(
    database: Database,
    intake: Intake,
    *,
    settings: ApiSettings | None = None,
    knowledge: Knowledge | None = None,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The application. It owns no connection and no task: `database` and `intake` outlive it."""
    settings = settings or ApiSettings()
    app = build(settings)
    provider = None if settings.identity is None else IdentityProvider(settings.identity)
    doorkeeper = Doorkeeper(database, settings.token_ttl, provider)
    limiter = Limiter(settings.rate, settings.burst)
    hub = EventHub(database, settings.streams, settings.streams_each)
    app.state.at_stop = (hub.close,)
    app.state.context = Context(database, intake, doorkeeper, limiter, settings, now, hub, knowledge or Knowledge())
    return app


def build(settings: ApiSettings) -> FastAPI:
    """The rooms and their contract, with nobody home yet."""
    app = FastAPI(
        title="Metering data for the personal cabinet",
        summary="Readings, consumption and manual entry for each metering point",
        version=VERSION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    _wrap(app, settings)
    for room in (
        readings,  # what cabinets ask for most is looked for first: every router before it costs each request its share
        statistics,
        entry,
        consumption,
        points,
        corrections,
        power_quality,
        attachments,
        several,
        exports,
        fleet,
    ):
        app.include_router(room.router, prefix=PREFIX)
    for room in (reading_requests, service_requests, events_stream):
        app.include_router(room.router, prefix=PREFIX)
    for room in (statement_routes, green_button_routes, xml80020_routes):
        app.include_router(room.router, prefix=PREFIX)
    for room in (attachments, xml80020_routes):
        app.include_router(room.uploads, prefix=PREFIX)
    for room in (health, docs, dictionary):
        app.include_router(room.router)
    _publish(app)
    return app


def _wrap(app: FastAPI, settings: ApiSettings) -> None:
    """Compression, and pages of other origins where a deployment names them."""
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Accept-Language",
                "Idempotency-Key",
                "If-None-Match",
                "If-Modified-Since",
                "Last-Event-ID",
            ],
            expose_headers=[
                "ETag",
                "Last-Modified",
                "Location",
                "Retry-After",
                "WWW-Authenticate",
                "Idempotency-Replayed",
                "Content-Disposition",
            ],
            max_age=600,
        )


def _publish(app: FastAPI) -> None:
    """Let the OpenAPI document say what is true of problems."""
    plain_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(plain_openapi())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
