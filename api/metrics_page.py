"""What monitoring asks of every process, on a port of its own: /metrics for Prometheus, and /healthz."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.cli import serving
from api.metrics import REQUESTS
from api.settings import HttpSettings


@contextlib.asynccontextmanager
async def monitored(settings: HttpSettings, *collectors: Collector) -> AsyncIterator[CollectorRegistry]:
    """Serve the page while the context is open, if the settings want one. More collectors may be registered later."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in (REQUESTS, *collectors):
        registry.register(collector)
    async with contextlib.AsyncExitStack() as stack:
        if settings.metrics_port is not None:
            page = serving(metrics_app(registry), settings.metrics_host, settings.metrics_port)
            await stack.enter_async_context(page)
        yield registry


def metrics_app(registry: CollectorRegistry) -> Starlette:
    """Served by the process's own loop: a process whose loop hangs answers neither."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz)])
