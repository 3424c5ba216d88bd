"""Who may speak on a line: one collector at a time, by a lock of the database that dies with its session.

A second collector on the same fleet is a hot standby: it claims what becomes free, and speaks there only after a moment
in which a former owner that lost the database has fallen silent. Such an owner cannot know whether its lines were taken
over; only if no other collector was alive lately does it go on polling, and only for as long as its row says that
nobody may take its lines over (`keeps_until`): a lease of what it was seen to own. docs/reliability.md has the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.errors import Busy, NotFound, StoreUnavailable
from storage.database import Database

_log = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two looks at the locks."""

SILENT_AFTER = 10.0
"""Seconds without the database after which an owner with a standby stops speaking."""

SPEAK_AFTER = 20.0
"""Seconds between a claim and the first word while other collectors are alive; more than `SILENT_AFTER` and a tick."""

_ALIVE = """
INSERT INTO collector (name, seen_at, keeps_until, lines, wants)
VALUES (%(name)s, now(), now() + %(offline)s * interval '1 second', %(lines)s, %(wants)s)
ON CONFLICT (name) DO UPDATE SET seen_at = now(), keeps_until = excluded.keeps_until, lines = excluded.lines,
    wants = excluded.wants
"""
_FORGET = "DELETE FROM collector WHERE seen_at < now() - interval '1 day' AND coalesce(keeps_until, now()) <= now()"
_OTHERS = """
SELECT count(*) FROM collector WHERE name <> %(name)s AND seen_at > now() - interval '10 minutes'
AND coalesce(wants && %(wants)s, true)
"""
_GONE = "DELETE FROM collector WHERE name = %(name)s"
_NAME = "SELECT pg_try_advisory_lock(hashtextextended('amr collector ' || current_schema() || ' ' || %(name)s, 0))"
_KEY = "hashtextextended('amr line ' || current_schema() || ' ' || name, 0)"
_CLAIM = f"SELECT name FROM unnest(%(names)s::text[]) AS line(name) WHERE pg_try_advisory_lock({_KEY})"
_KEPT = """
SELECT l.name, c.name, c.keeps_until FROM collector c, unnest(c.lines) AS l(name)
WHERE c.name <> %(name)s AND c.keeps_until > now() AND l.name = ANY(%(names)s)
"""
_HEARD = "SELECT extract(epoch FROM now() - seen_at)::float FROM collector WHERE name = %s FOR UPDATE"
_FREE = "UPDATE collector SET keeps_until = NULL WHERE name = %s RETURNING lines"
_RELEASE = f"SELECT pg_advisory_unlock({_KEY}) FROM unnest(%(names)s::text[]) AS line(name)"


class Ownership:
    """The lines this process may speak on. `held()` iterates over the set each time it changes."""

    def __init__(
        self,
        database: Database,
        *,
        name: str | None = None,
        tick: float = TICK,
        silent_after: float = SILENT_AFTER,
        speak_after: float = SPEAK_AFTER,
        offline: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`offline`: seconds it goes on without the database while it is alone, and nobody may take its lines."""
        self.name = name or socket.gethostname()
        self._database = database
        self._tick = tick
        self._silent_after = silent_after
        self._speak_after = speak_after
        self._clock = clock
        self._wanted: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()
        self._claimed: dict[str, float] = {}  # when a claimed line may be spoken on
        self._alone = False
        self._offline = offline
        self._confirmed = -math.inf  # when the database knew last what we hold
        self._told: frozenset[str] = frozenset()  # lines that are kept by an absent collector, as we told
        self._wake = asyncio.Event()

    def want(self, lines: Collection[str]) -> None:
        """Say which lines there are; what is no longer among them is given up at the next look."""
        self._wanted = frozenset(lines)
        self._wake.set()

    @property
    def lease(self) -> float:
        """Seconds these lines may yet be spoken on without the database; 0 for an owner with a standby."""
        return max(0.0, self._confirmed + self._offline - self._clock()) if self._alone else 0.0

    @property
    def speaking(self) -> frozenset[str]:
        """The lines held now."""
        return self._held

    def resume(self, lines: Collection[str], lease: float) -> None:
        """Go on where an earlier process of this name stopped, which owned these lines for so many seconds more."""
        if not lines or lease <= 0:
            return
        self._held, self._alone = frozenset(lines), True
        self._confirmed = self._clock() + lease - self._offline

    async def held(self) -> AsyncIterator[frozenset[str]]:
        """The lines held, now and after each change; goes on through the database's absence."""
        shown: frozenset[str] | None = None
        lost_at: float | None = None
        while True:
            try:
                async with self._database.own_connection() as conn:
                    await self._return(conn)
                    lost_at = None
                    while True:
                        await self._look(conn)
                        if self._held != shown:
                            shown = self._held
                            yield shown
                        await self._pause()
            except StoreUnavailable as error:
                if lost_at is None:
                    lost_at = self._clock()
                    _log.warning("the locks of the lines are lost with the database: %s", error)
                if self._held and self._clock() - lost_at >= self._silent_after and not self.lease:
                    _log.warning("another collector may have taken over: polling stops until the database is back")
                    self._held = frozenset()
                if self._held != shown:
                    shown = self._held
                    yield shown
                await asyncio.sleep(self._tick / 2)

    async def leave(self) -> None:
        """Say that this collector stops, so that the next one need not wait for it."""
        async with self._database.own_connection() as conn:
            await conn.execute(_GONE, {"name": self.name})

    async def _return(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """With a new session: take a name nobody has, and back the lines that are still free."""
        named = await (await conn.execute(_NAME, {"name": self.name})).fetchone()
        if named is None or not named[0]:
            self.name = f"{self.name}-{secrets.token_hex(3)}"
        mine = await self._claim(conn, self._held | self._claimed.keys())
        self._held &= mine
        self._claimed = {line: at for line, at in self._claimed.items() if line in mine}

    async def _look(self, conn: psycopg.AsyncConnection[Any]) -> None:
        wants = sorted(self._wanted)
        others = await (await conn.execute(_OTHERS, {"name": self.name, "wants": wants})).fetchone()
        alone = others is not None and others[0] == 0
        now = self._clock()
        given_up = (self._held | self._claimed.keys()) - self._wanted
        if given_up:
            await conn.execute(_RELEASE, {"names": sorted(given_up)})
        speak_at = now if alone else now + self._speak_after
        for line in await self._claim(conn, self._wanted - self._held - self._claimed.keys()):
            self._claimed[line] = speak_at
        self._claimed = {line: at for line, at in self._claimed.items() if line in self._wanted}
        owned = sorted((self._held & self._wanted) | self._claimed.keys())
        offline = self._offline if alone and self._offline else None
        # Before the first word: without the database, nobody else would know whose lines these are.
        await conn.execute(_ALIVE, {"name": self.name, "offline": offline, "lines": owned, "wants": wants})
        self._alone, self._confirmed = alone, now
        await conn.execute(_FORGET)
        ripe = {line for line, at in self._claimed.items() if at <= now}
        self._held = (self._held & self._wanted) | ripe
        for line in ripe:
            del self._claimed[line]

    async def _claim(self, conn: psycopg.AsyncConnection[Any], names: Collection[str]) -> frozenset[str]:
        if not names:
            return frozenset()
        kept = await (await conn.execute(_KEPT, {"name": self.name, "names": sorted(names)})).fetchall()
        self._tell_kept(kept)
        rows = await (
            await conn.execute(_CLAIM, {"names": sorted(set(names) - {line for line, *_ in kept})})
        ).fetchall()
        return frozenset(name for (name,) in rows)

    def _tell_kept(self, kept: Sequence[tuple[str, str, datetime]]) -> None:
        """Once for each line that an absent collector may still be polling."""
        for line, owner, until in kept:
            if line not in self._told:
                _log.warning(
                    "line %s belongs to collector %s, which may poll it without the database until %s;"
                    " if it is gone for good: amr line release %s",
                    line, owner, until.isoformat(timespec="seconds"), owner,
                )  # fmt: skip
        self._told = frozenset(line for line, *_ in kept)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._tick):  # not wait_for: in Python 3.11 it may swallow a cancellation
                await self._wake.wait()
        self._wake.clear()


async def release(conn: psycopg.AsyncConnection[Any], collector: str) -> list[str]:
    """Let others take the lines of a collector that is gone for good; gives them.

    Raises NotFound, or Busy for one that was heard of so lately that it may be running: it keeps its lines by itself.
    """
    row = await (await conn.execute(_HEARD, (collector,))).fetchone()
    if row is None:
        raise NotFound(f"no collector is named {collector!r}; amr status names them")
    if row[0] < SPEAK_AFTER:
        raise Busy(
            f"collector {collector} was heard of {row[0]:.0f} s ago: while it runs it keeps its lines by itself. "
            f"Stop it; if it is gone, repeat this in {SPEAK_AFTER:.0f} s"
        )
    [(lines,)] = await (await conn.execute(_FREE, (collector,))).fetchall()
    return list(lines)


async def claim_line(conn: psycopg.AsyncConnection[Any], line: str) -> bool:
    """Take one line for as long as this session lasts; False when a collector has it."""
    return await (await conn.execute(_CLAIM, {"names": [line]})).fetchone() is not None
