"""Bearer tokens, ours and the identity provider's: looked up, remembered for a moment, refused all in one way."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from api.identity import IdentityProvider
from api.problems import Problem
from api.texts import Text
from storage import tokens
from storage.database import Database

_REMEMBERED = 10_000
_LONGEST_TOKEN = 8_192

READ, WRITE = "readings:read", "readings:write"
"""Scopes of the identity provider's tokens. Tokens of our own have both."""


class Role(StrEnum):
    """What a token may do: consumers see their points, the others are staff."""

    CONSUMER = "consumer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for the record, the role, and for a consumer who that is. `key` tells callers apart."""

    name: str
    role: Role
    consumer: str | None
    expires_at: datetime | None = None
    key: str = ""
    scopes: frozenset[str] = frozenset({READ, WRITE})

    @property
    def staff(self) -> bool:
        return self.role is not Role.CONSUMER

    @property
    def author(self) -> str:
        """Who stands behind what is typed in: the consumer, or the token of the staff member."""
        return self.consumer or self.name


_MISSING = Text("the request has no token", "в запросе нет токена")
_MALFORMED = Text("the Authorization header is not 'Bearer <token>'", "заголовок Authorization — не 'Bearer <токен>'")
_REFUSED = Text("the token is unknown, expired or revoked", "токен неизвестен, просрочен или отозван")


class Doorkeeper:
    """Admits callers. A revoked token works for at most `ttl` longer; a bounded number is remembered."""

    def __init__(self, database: Database, ttl: timedelta, provider: IdentityProvider | None = None) -> None:
        self._database = database
        self._ttl = ttl.total_seconds()
        self._provider = provider
        self._remembered: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()

    async def admit(self, token: str | None, header_came: bool) -> Caller:
        """The caller behind a token, or the 401 that says what to send."""
        if token is None:
            raise _unauthorized(_MALFORMED if header_came else _MISSING, 'Bearer realm="amr"')
        caller = await self._find(token) if len(token) <= _LONGEST_TOKEN else None
        if caller is None or (caller.expires_at is not None and caller.expires_at <= datetime.now(UTC)):
            raise _unauthorized(_REFUSED, 'Bearer realm="amr", error="invalid_token"')
        return caller

    async def _find(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        caller = await self._look_up(token)
        self._remember(digest, caller)
        return caller

    async def _look_up(self, token: str) -> Caller | None:
        """Our tokens have no points in them, a JWT has two."""
        if self._provider is not None and token.count(".") == 2:
            said = await self._provider.vouch(token)
            if said is None:
                return None
            key = f"consumer {said.consumer}"
            return Caller(said.consumer, Role.CONSUMER, said.consumer, said.expires_at, key, said.scopes)
        async with self._database.connection() as conn:
            found = await tokens.find(conn, token)
        if found is None:
            return None
        return Caller(found.name, Role(found.role), found.consumer, found.expires_at, f"token {found.name}")

    def _remember(self, digest: bytes, caller: Caller | None) -> None:
        self._remembered[digest] = (time.monotonic() + self._ttl, caller)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)


def _unauthorized(reason: Text, challenge: str) -> Problem:
    return Problem("unauthorized", headers={"WWW-Authenticate": challenge}, reason=reason)
