"""How long requests take, by operation and status, for Prometheus. Of this process, since its start."""

from __future__ import annotations

from prometheus_client import Histogram

_BOUNDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

REQUESTS = Histogram("amr_http_seconds", "How long a request takes", ["operation", "status"], buckets=_BOUNDS)
