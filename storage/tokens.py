"""Access tokens of our own: named, hashed, expiring, revocable. The token itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from ingest.errors import Misconfigured, NotFound

ROLES = ("consumer", "operator", "engineer", "admin")
PREFIX = "amr_"
"""Lets people and secret scanners recognise one that lies about."""

_COLUMNS = "name, role, consumer, created_at, expires_at, revoked_at"
_CREATE = """
INSERT INTO token (name, digest, role, consumer, expires_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (name) DO NOTHING
"""
_FIND = f"""
SELECT digest, {_COLUMNS} FROM token
WHERE digest = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
_REVOKE = "UPDATE token SET revoked_at = coalesce(revoked_at, now()) WHERE name = %s"
_LIST = f"SELECT {_COLUMNS} FROM token ORDER BY name"

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; `consumer` is whose points a consumer's token shows, None for staff."""

    name: str
    role: str
    consumer: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create(
    conn: _Conn, name: str, role: str, *, consumer: str | None = None, expires_at: datetime | None = None
) -> str:
    """Make a token and give its text, 256 random bits; this is the only time it can be seen.

    Raises Misconfigured for an unknown role, a missing or needless consumer, a past expiry or a name in use.
    """
    if not name.strip():
        raise Misconfigured("name is empty; name the token after who will use it")
    if role not in ROLES:
        raise Misconfigured(f"role {role!r} is unknown; known are {', '.join(ROLES)}")
    if (role == "consumer") != bool(consumer):
        raise Misconfigured(
            f"consumer {consumer!r} with role {role!r}: a consumer's token names its consumer, a token of staff none"
        )
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Misconfigured(f"expires {expires_at.isoformat()} is past; write a later instant")
    text = PREFIX + secrets.token_urlsafe(32)
    made = await conn.execute(_CREATE, (name, _digest(text), role, consumer, expires_at))
    if made.rowcount == 0:
        raise Misconfigured(f"name {name!r} belongs to another token, in use or revoked; choose another name")
    return text


async def find(conn: _Conn, text: str) -> Token | None:
    """The token in force with that text; None for an unknown, expired or revoked one."""
    digest = _digest(text)
    row = await (await conn.execute(_FIND, (digest,))).fetchone()
    # The index is searched by a digest nobody can steer, so its timing tells nothing of the stored ones.
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    return Token(*row[1:])


async def revoke(conn: _Conn, name: str) -> None:
    """Put a token out of force for ever; repeating it changes nothing. NotFound when there is none of that name."""
    if (await conn.execute(_REVOKE, (name,))).rowcount == 0:
        raise NotFound(f"there is no token {name!r}; `amr token list` shows them")


async def every(conn: _Conn) -> list[Token]:
    """All tokens by name, revoked ones too."""
    return [Token(*row) for row in await (await conn.execute(_LIST)).fetchall()]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
