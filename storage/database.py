"""The pool of connections, and the one place where psycopg's errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from ingest.errors import AmrError, Misconfigured, StoreRejected, StoreUnavailable
from storage import timescale
from storage.embedded import embedded_server

_log = logging.getLogger(__name__)
_CONNECT_TIMEOUT = 5
_LONGEST_PAUSE = 2.0
_QUOTED = re.compile(r'".*"', re.DOTALL)
_WRITE_URL = "write postgresql://user@host:5432/database, and in a password %40 for @, %2F for / and %25 for %"
_BELIEVED = 1.0
"""Seconds for which a connection counts as alive without being asked."""
_EMBEDDED_PATIENCE = 30.0
"""The embedded server may be changing hands just now; somebody's guard is starting it again."""


_Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


class StoreTimeout(StoreUnavailable):
    """A statement took longer than it may (or was cancelled). A smaller request or a calmer moment may succeed."""

    code = "store_timeout"


class StoreMisconfigured(Misconfigured):
    """The database is not what this version needs, or does not let us in: nobody's request is wrong."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is. With `url` None a private PostgreSQL is run on the folder `data`."""

    url: str | None
    data: Path
    pool_size: int = 10
    pool_timeout: timedelta = timedelta(seconds=10)
    most_waiting: int = 100
    """Who would wait for a connection behind so many others hears StoreUnavailable at once."""
    statement_timeout: timedelta = timedelta(seconds=30)
    application_name: str = "amr"


class Database:
    """An open pool. `dsn` is for those who need a connection of their own beside it."""

    def __init__(self, pool: _Pool, dsn: str, single: _Pool | None = None) -> None:
        self._pool = pool
        self._single = single or pool
        self.dsn = dsn

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection in a transaction: committed at a normal exit, rolled back at an exception.

        Raises StoreUnavailable (try again), StoreRejected (never will), Misconfigured; causes are chained.
        """
        with translated():
            async with self._pool.connection() as conn:
                yield conn

    def pool_state(self) -> Mapping[str, int]:
        """The pool's own counts, as psycopg_pool names them: pool_size, pool_available, requests_waiting and others."""
        return self._pool.get_stats()

    @contextlib.asynccontextmanager
    async def single(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection each of whose statements stands by itself, for look-ups by keys: its plans are kept.

        Nothing begins and nothing is committed, which is half of what a page of two look-ups costs. What belongs
        together is asked of `connection()`. Raises the same.
        """
        with translated():
            async with self._single.connection() as conn:
                yield conn

    @contextlib.asynccontextmanager
    async def own_connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection outside the pool, in autocommit and without a statement timeout: for locks and listening."""
        with translated():
            conn = await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)
            async with conn:
                await conn.execute("SET statement_timeout = 0")
                yield conn


@contextlib.asynccontextmanager
async def open_database(
    settings: DatabaseSettings, *, wait: bool = False, absent: bool = False
) -> AsyncIterator[Database]:
    """Open the configured database, or own or join the embedded one.

    A database that is not up raises StoreUnavailable, or is waited for with `wait`, or done without with `absent`. One
    that is away is found again by itself: meanwhile `connection()` raises StoreUnavailable.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = settings.url
        if url is None:
            url = await stack.enter_async_context(embedded_server(settings.data))
        dsn = _complete(replace(settings, url=url))
        try:
            await _probe(dsn, patience=math.inf if wait else _EMBEDDED_PATIENCE if settings.url is None else 0)
        except StoreUnavailable as error:
            if not absent:
                raise
            _log.warning("starting without the database: %s", error)
        pool = AsyncConnectionPool(
            dsn,
            kwargs={"prepare_threshold": 1},
            min_size=1,
            max_size=settings.pool_size,
            timeout=settings.pool_timeout.total_seconds(),
            max_waiting=settings.most_waiting,
            check=_believing(),
            name=settings.application_name,
            open=False,
        )
        single = _single_pool(dsn, settings)
        with translated():
            await stack.enter_async_context(pool)
            await stack.enter_async_context(single)
        yield Database(pool, dsn, single)


def _single_pool(dsn: str, settings: DatabaseSettings) -> _Pool:
    """The pool of those who ask one thing at a time: empty until somebody does."""
    options = f"-c plan_cache_mode=force_generic_plan {conninfo_to_dict(dsn).get('options') or ''}"

    return AsyncConnectionPool(
        make_conninfo(dsn, options=options.strip()),
        kwargs={"prepare_threshold": 1, "autocommit": True},
        min_size=0,
        max_size=settings.pool_size,
        timeout=settings.pool_timeout.total_seconds(),
        check=_believing(),
        name=f"{settings.application_name} single",
        open=False,
    )


def _believing() -> Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]:
    """A pool's look whether a connection is alive, which believes one that was alive a moment ago.

    Asking it costs as much as a look-up, and a batch more than that: for so long the server does nothing.
    """
    checked: weakref.WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = weakref.WeakKeyDictionary()

    async def check(conn: psycopg.AsyncConnection[Any]) -> None:
        if time.monotonic() - checked.get(conn, -math.inf) > _BELIEVED:
            await AsyncConnectionPool.check_connection(conn)
            checked[conn] = time.monotonic()

    return check


def _complete(settings: DatabaseSettings) -> str:
    """The DSN with everything we insist on; what its own `options` say (a schema, for example) comes last and wins."""
    try:
        given = conninfo_to_dict(settings.url or "")
    except psycopg.ProgrammingError as e:
        told = _QUOTED.sub('"…"', str(e).strip())  # what is quoted of it may be the password
        raise Misconfigured(f"AMR_DATABASE_URL is not a PostgreSQL connection string ({told}); {_WRITE_URL}") from None
    _expect_whole(given)
    timeout = int(settings.statement_timeout / timedelta(milliseconds=1))
    ours = (
        f"-c timezone=UTC -c jit=off -c statement_timeout={timeout} -c idle_in_transaction_session_timeout=5min"
        f" -c {timescale.SESSION}"
    )
    defaults: dict[str, Any] = {
        "application_name": settings.application_name,
        "connect_timeout": _CONNECT_TIMEOUT,
        "tcp_user_timeout": 30_000,
        "keepalives_idle": 15,  # of a network that went while we waited for an answer, nothing else tells
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "client_encoding": "utf8",
    }
    return make_conninfo(**{**defaults, **given, "options": f"{ours} {given.get('options') or ''}".strip()})


async def _probe(dsn: str, *, patience: float) -> None:
    """Connect, trying again for so many seconds: a pool alone would hide a wrong address behind timeouts."""
    pause = 0.05
    told = False
    limit = time.monotonic() + patience
    while True:
        try:
            with translated():
                await (await psycopg.AsyncConnection.connect(dsn)).close()
            break
        except StoreUnavailable as e:
            if time.monotonic() >= limit:
                raise
            if not told:
                _log.warning("waiting for the database: %s", e)
                told = True
        pause = min(_LONGEST_PAUSE, pause * 2)
        await asyncio.sleep(pause)
    if told:
        _log.warning("the database is there")


def _expect_whole(given: Mapping[str, Any]) -> None:
    """Raises Misconfigured for a URL cut within its password: a piece of it would pass for a host, port or database."""
    host, port, name = (str(given.get(part) or "") for part in ("host", "port", "dbname"))
    if "@" in host[1:] + name or (port and not port.replace(",", "").isdecimal()):
        raise Misconfigured(f"AMR_DATABASE_URL: a sign of the password is taken for its end; {_WRITE_URL}")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn any psycopg error raised inside into one of ours, with the cause chained."""
    try:
        yield
    except psycopg.Error as e:
        raise translate(e) from e


_MOMENTARY = {"25006", "25P03", "25P04", "55006", "55P03"}
"""A server that only reads (a standby after a failover), transactions it ended, and locks not had in time."""
_MIGRATE = "the schema is not the one this version needs; run `amr migrate`"


def translate(error: psycopg.Error) -> AmrError:
    """Our error for one of psycopg's, chosen by its class and SQLSTATE, never by its text."""
    state = error.sqlstate or ""
    text = f"database: {str(error).strip() or type(error).__name__}" + (f" [{state}]" if state else "")
    if state == "57014":
        return StoreTimeout(text)
    if (
        state[:2] in {"22", "23", "54"}
        or state == "P0001"
        or isinstance(error, psycopg.DataError | psycopg.IntegrityError)
    ):
        return StoreRejected(text)
    if state in {"42P01", "42703", "42883", "3F000"}:
        return StoreMisconfigured(f"{text}; {_MIGRATE}")
    if state[:2] == "28" or state in {"3D000", "42501"}:
        return StoreMisconfigured(f"{text}; check AMR_DATABASE_URL and the rights of its user")
    if state[:2] in {"08", "40", "53", "57", "58"} or state in _MOMENTARY:
        return StoreUnavailable(text)
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):  # refused on our side of the wire
        return StoreRejected(text)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreUnavailable(text)
    return AmrError(f"{text}; this is a fault of ours, please report it")
