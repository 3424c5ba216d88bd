"""How many files that are whole only at their end one process makes at once: each keeps a core busy for seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import RETRY_SECONDS, Problem

MOST = 4


class _Bench:
    """The places there are."""

    def __init__(self) -> None:
        self.taken = 0


_bench = _Bench()


@contextmanager
def making() -> Iterator[None]:
    """A place to make one file. Raises 503 with Retry-After while all are taken."""
    if _bench.taken >= MOST:
        raise Problem("too_many_files", headers={"Retry-After": str(RETRY_SECONDS)}, seconds=RETRY_SECONDS)
    _bench.taken += 1
    try:
        yield
    finally:
        _bench.taken -= 1
