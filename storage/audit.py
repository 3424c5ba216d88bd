"""The record of who asked what. Written with every request of staff and every write, read by admins, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from storage.conditions import conditions

_COLUMNS = "at, actor, role, operation, point, status, detail, client"
_WRITE = """
INSERT INTO audit (actor, role, operation, point, status, detail, client) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_FIND = f"""
SELECT {_COLUMNS} FROM audit WHERE at >= %(since)s AND at < %(until)s AND {{conditions}}
ORDER BY at DESC, id DESC LIMIT %(limit)s
"""
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Act:
    """One request: who (`actor`, `role`), what (`operation`, `point`, `detail`), and how it ended (HTTP `status`)."""

    at: datetime
    actor: str
    role: str
    operation: str
    point: str | None
    status: int
    detail: str
    client: str | None


async def write(
    conn: psycopg.AsyncConnection[Any],
    *,
    actor: str,
    role: str,
    operation: str,
    point: str | None,
    status: int,
    detail: str = "",
    client: str | None = None,
) -> None:
    """Keep one act. What PostgreSQL's text cannot hold is shown as a replacement character."""
    texts = [None if text is None else _storable(text) for text in (actor, point, detail, client)]
    await conn.execute(_WRITE, (texts[0], role, operation, texts[1], status, texts[2], texts[3]))


async def find(
    conn: psycopg.AsyncConnection[Any],
    *,
    since: datetime,
    until: datetime,
    actor: str | None = None,
    point: str | None = None,
    limit: int = 100,
) -> list[Act]:
    """The newest acts within [since, until), newest first."""
    asked = {"actor": actor, "point": point, "since": since, "until": until, "limit": limit}
    chosen = conditions((actor, "actor = %(actor)s"), (point, "point = %(point)s"))
    rows = await (await conn.execute(_FIND.format(conditions=chosen).encode(), asked)).fetchall()
    return [Act(*row) for row in rows]


def _storable(text: str) -> str:
    return text[:_LONGEST].replace("\0", "�").encode("utf-8", "replace").decode()
