"""Keys under which clients repeat their writes: the first request runs, its repetitions get the first one's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

_FORGET = "DELETE FROM idempotency WHERE created_at < now() - interval '1 day'"

# A request whose process died is taken over after a minute; a running one never takes that long.
_BEGIN = """
INSERT INTO idempotency (actor, key, digest) VALUES (%(actor)s, %(key)s, %(digest)s)
ON CONFLICT (actor, key) DO UPDATE SET created_at = now()
WHERE idempotency.status IS NULL AND idempotency.created_at < now() - interval '1 minute'
  AND idempotency.digest = excluded.digest
RETURNING key
"""
_FOUND = "SELECT digest, status, body FROM idempotency WHERE actor = %s AND key = %s"
_FINISH = "UPDATE idempotency SET status = %s, body = %s WHERE actor = %s AND key = %s"
_RELEASE = "DELETE FROM idempotency WHERE actor = %s AND key = %s AND status IS NULL"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A request that came before under the same key; `status` is None while it still runs."""

    same: bool
    status: int | None
    body: bytes | None


async def begin(conn: psycopg.AsyncConnection[Any], actor: str, key: str, digest: bytes) -> Earlier | None:
    """Take the key for a request; gives what came before under it, None when the request is the first."""
    await conn.execute(_FORGET)
    asked = {"actor": actor, "key": key, "digest": digest}
    if await (await conn.execute(_BEGIN, asked)).fetchone() is not None:
        return None
    row = await (await conn.execute(_FOUND, (actor, key))).fetchone()
    if row is None:  # released or forgotten in this very moment
        return Earlier(True, None, None)
    return Earlier(row[0] == digest, row[1], row[2])


async def finish(conn: psycopg.AsyncConnection[Any], actor: str, key: str, status: int, body: bytes) -> None:
    """Keep the answer for the repetitions."""
    await conn.execute(_FINISH, (status, body, actor, key))


async def release(conn: psycopg.AsyncConnection[Any], actor: str, key: str) -> None:
    """Give the key back: the request changed nothing, so another may use it."""
    await conn.execute(_RELEASE, (actor, key))
