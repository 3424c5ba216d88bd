"""Tokens of the cabinet's identity provider: JWTs with pinned asymmetric algorithms, keys from a JWKS or a PEM.

The only import of PyJWT. A token vouches for one consumer and carries scopes; staff use tokens of our own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from api.choices import IdentitySettings
from ingest.errors import Unreachable

log = logging.getLogger(__name__)

_LARGEST_SET = 1_000_000
_TIMEOUT = 5.0
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a token of the provider says, once believed."""

    consumer: str
    scopes: frozenset[str]
    expires_at: datetime


class IdentityProvider:
    """Believes or refuses tokens; remembers the provider's keys."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def vouch(self, token: str) -> Vouched | None:
        """What the token says, or None when it is not to be believed. Raises Unreachable without any keys."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._settings.public_key or await self._key(header.get("kid"))
            if key is None or header.get("alg") not in self._settings.algorithms:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
            return self._believe(claims)
        except jwt.PyJWTError as e:
            log.info("a token was refused: %s", type(e).__name__)
            return None

    def _believe(self, claims: Mapping[str, Any]) -> Vouched | None:
        consumer = claims.get(self._settings.consumer_claim)
        if not isinstance(consumer, str) or not 0 < len(consumer) <= _LONGEST_NAME or not consumer.isprintable():
            return None
        scope = claims.get("scope", claims.get("scp", ""))
        scopes = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else []
        try:
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC) + self._settings.leeway
        except (OverflowError, OSError, ValueError):
            return None
        return Vouched(consumer, frozenset(item for item in scopes if isinstance(item, str)), expires_at)

    async def _key(self, kid: object) -> jwt.PyJWK | None:
        """The key with that id; without an id the only key there is. Asks the provider when it has to."""
        async with self._asking:
            age = time.monotonic() - self._asked
            unknown = self._choose(kid) is None and age > self._settings.keys_pause.total_seconds()
            if unknown or age > self._settings.keys_kept.total_seconds():
                await self._ask()
        return self._choose(kid)

    def _choose(self, kid: object) -> jwt.PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid) if isinstance(kid, str) else None

    async def _ask(self) -> None:
        assert self._settings.jwks_url
        self._asked = time.monotonic()
        try:
            document = json.loads(await asyncio.to_thread(_fetch, self._settings.jwks_url))
            keys = jwt.PyJWKSet.from_dict(document).keys
        except (OSError, ValueError, AttributeError, jwt.PyJWTError) as e:
            log.warning("keys of the identity provider: %s", e)
            if not self._keys:
                raise Unreachable(f"no keys of the identity provider at {self._settings.jwks_url}: {e}") from e
            return
        self._keys = {key.key_id: key for key in keys if key.public_key_use in (None, "sig")}


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        body: bytes = answer.read(_LARGEST_SET + 1)
    if len(body) > _LARGEST_SET:
        raise ValueError(f"the key set is larger than {_LARGEST_SET} bytes")
    return body
