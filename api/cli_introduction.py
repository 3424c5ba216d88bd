"""What the demo says when everything runs: where it is, a token, and the first things to try with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path


def introduction(served: str, page: str, token: str, folder: Path, history: str) -> Iterator[str]:
    """Its lines. `served` is the API's address, `page` that of monitoring's page, `history` a point with years."""
    today = datetime.now(UTC).date()
    since = (today - timedelta(days=365)).replace(day=1)
    yield f"API and its documentation: {served}/docs   (other terminals: export AMR_DATA={folder})"
    yield f"What monitoring would ask: {page}/metrics"
    yield "A consumer's token, and three things to try with it:"
    yield f"  export TOKEN={token}"
    for path in (
        "points",
        "points/MP-0001/readings/latest",
        f"points/{history}/consumption?from={since}&to={today}&step=month",
    ):
        yield f'  curl -s -H "Authorization: Bearer $TOKEN" "{served}/api/v1/{path}"'
