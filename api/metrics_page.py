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
    registry = registry_of(*collectors)
    async with contextlib.AsyncExitStack() as stack:
        if settings.metrics_port is not None:
            await stack.enter_async_context(metrics_page(settings, registry))
        yield registry


def registry_of(*collectors: Collector) -> CollectorRegistry:
    """These, this process's own use of the machine, and the API's requests."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector(registry=None), REQUESTS, *collectors):
        registry.register(collector)
    return registry


def metrics_page(settings: HttpSettings, registry: CollectorRegistry) -> contextlib.AbstractAsyncContextManager[str]:
    """The page, at the port of the settings or else a free one; gives its address."""
    return serving(metrics_app(registry), settings.metrics_host, settings.metrics_port or 0)


def metrics_app(registry: CollectorRegistry) -> Starlette:
    """Served by the process's own loop: a process whose loop hangs answers neither."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz)])
