"""`amr alive`: does the service on this machine answer; for the health checks of containers."""

from __future__ import annotations

import typer

from api.settings import HttpSettings
from ingest.errors import Unreachable

_PATIENCE = 3.0


def alive(context: typer.Context) -> None:
    """Ask the service of this machine, at AMR_METRICS_PORT or AMR_HTTP_PORT, whether it lives; ends with 1 if not."""
    import httpx  # here, so that no other verb waits for it

    settings: HttpSettings = context.obj
    port = settings.http_port if settings.metrics_port is None else settings.metrics_port
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=_PATIENCE)
    except httpx.HTTPError as error:
        raise Unreachable(f"nobody answers on port {port}: {error}") from error
    if not answer.is_success:
        raise Unreachable(f"port {port} answers {answer.status_code}: it is not a service of ours, or an ill one")
