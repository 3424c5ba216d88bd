"""What lies in quarantine: found, shown, dropped. How it comes out again: `storage.replay`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.errors import NotFound
from storage.conditions import conditions

_FACTS = "id, origin, reason, detail, meter, channel, first_at, last_at, times, octet_length(raw)"
_GET = f"SELECT {_FACTS}, raw FROM quarantine WHERE id = %s"
_SUMMARY = """
SELECT reason, count(*), sum(times)::bigint, min(first_at), max(last_at) FROM quarantine
GROUP BY reason ORDER BY max(last_at) DESC
"""
_DROP = """
DELETE FROM quarantine q USING (
    SELECT id FROM (SELECT id FROM quarantine WHERE {condition} ORDER BY id LIMIT %(most)s) c
    JOIN quarantine USING (id) ORDER BY digest FOR UPDATE OF quarantine) d
WHERE q.id = d.id RETURNING q.id, q.reason
"""
_EVENT = "INSERT INTO event (kind, detail) VALUES ('quarantine_drop', %s)"

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Which:
    """A choice of refusals: those that meet everything given. `origin` is how it begins, like `mqtt:amr/v1/gw-7/`."""

    ids: Sequence[int] | None = None
    reason: str | None = None
    meter: str | None = None
    origin: str | None = None

    def condition(self) -> str:
        """As SQL over the columns of `quarantine`, with the parameters of `values`."""
        return conditions(
            (self.ids, "id = ANY(%(ids)s)"),
            (self.reason, "reason = %(reason)s"),
            (self.meter, "meter = %(meter)s"),
            (self.origin, "starts_with(origin, %(origin)s)"),
        )

    def values(self) -> dict[str, Any]:
        ids = None if self.ids is None else list(self.ids)
        return {"ids": ids, "reason": self.reason, "meter": self.meter, "origin": self.origin}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One piece. `origin` is where it came from, `times` how often it came between `first_at` and `last_at`, `size` the
    bytes of what came."""

    id: int
    origin: str
    reason: str
    detail: str
    meter: str | None
    channel: str | None
    first_at: datetime
    last_at: datetime
    times: int
    size: int


@dataclass(frozen=True, slots=True)
class Summed:
    """All pieces of one reason."""

    reason: str
    rows: int
    times: int
    first_at: datetime
    last_at: datetime


async def find(
    conn: _Conn, which: Which, *, limit: int = 50, before: tuple[datetime, int] | None = None
) -> list[Refusal]:
    """What is chosen, the last seen first, without the bytes. `before` is (last_at, id) of the last one of a page."""
    paged = "" if before is None else "AND (last_at, id) < (%(last_at)s, %(id)s)"
    asked = {**which.values(), "limit": limit, "last_at": before and before[0], "id": before and before[1]}
    question = (
        f"SELECT {_FACTS} FROM quarantine WHERE {which.condition()} {paged} "
        "ORDER BY last_at DESC, id DESC LIMIT %(limit)s"
    )
    return [Refusal(*row) for row in await (await conn.execute(question.encode(), asked)).fetchall()]


async def get(conn: _Conn, number: int) -> tuple[Refusal, bytes]:
    """One piece and what came, whole. Raises NotFound."""
    row = await (await conn.execute(_GET, (number,))).fetchone()
    if row is None:
        raise NotFound(f"there is no {number} in quarantine; `amr quarantine list` shows what is there")
    *facts, raw = row
    return Refusal(*facts), raw


async def summary(conn: _Conn) -> list[Summed]:
    """How much lies there of each reason, the last seen first."""
    return [Summed(*row) for row in await (await conn.execute(_SUMMARY)).fetchall()]


async def drop(conn: _Conn, which: Which, author: str | None = None, *, most: int = 10_000) -> list[int]:
    """Throw what is chosen away for good, at most so many at a time; gives their numbers, none when nothing is left.

    An event keeps how many of which reason they were, and who did it.
    """
    rows = await (
        await conn.execute(_DROP.format(condition=which.condition()).encode(), {**which.values(), "most": most})
    ).fetchall()
    if rows:
        counts = Counter(reason for _, reason in rows)
        await conn.execute(_EVENT, (Jsonb({"dropped": counts, "author": author}),))
    return sorted(number for number, _ in rows)
