"""Tokens of an identity provider: a real key set served over HTTP, and every way to forge one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from api.app import create_app
from api.choices import IdentitySettings
from api.cli import serving
from api.context import ApiSettings
from api.identity import IdentityProvider
from ingest.errors import Misconfigured, Unreachable
from ingest.intake import Intake
from storage.database import Database
from storage.readings import PostgresStore
from tests.api.conftest import furnish, secret

ISSUER, AUDIENCE = "https://id.example", "metering"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, algorithm: str, kid: str) -> dict[str, Any]:
    """The public half of a key as a member of a key set."""
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", "alg": algorithm}


@dataclass
class Provider:
    """An identity provider: it serves its keys and counts how often it is asked."""

    url: str = ""
    asked: int = 0
    keys: list[dict[str, Any]] = field(
        default_factory=lambda: [
            jwk(RSA_KEY, "RS256", "rsa-1"),
            jwk(EC_KEY, "ES256", "ec-1"),
            jwk(ED_KEY, "EdDSA", "ed-1"),
        ]
    )


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A served provider."""
    state = Provider()
    app = FastAPI()

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        state.asked += 1
        return {"keys": state.keys}

    async with serving(app, "127.0.0.1", 0) as url:
        state.url = f"{url}/jwks"
        yield state


@pytest.fixture
async def client(database: Database, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """Our API, believing that provider."""
    await furnish(database)
    identity = IdentitySettings(ISSUER, AUDIENCE, jwks_url=provider.url)
    settings = ApiSettings(identity=identity, token_ttl=timedelta(0))
    app = create_app(database, Intake(PostgresStore(database)), settings=settings)
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=30) as found:
        yield found


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, with changes; None leaves a claim out."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "boris",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "scope": "openid readings:read readings:write",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa-1", **changes: Any) -> str:
    """A token as the provider would make it, but for the changes."""
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else {})


async def ask(client: httpx.AsyncClient, token: str, path: str = "/points") -> httpx.Response:
    """GET with a token."""
    return await client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})


async def test_a_consumer_of_the_provider_sees_their_points(client: httpx.AsyncClient) -> None:
    for key, algorithm, kid in ((RSA_KEY, "RS256", "rsa-1"), (EC_KEY, "ES256", "ec-1"), (ED_KEY, "EdDSA", "ed-1")):
        answer = await ask(client, signed(key, algorithm, kid))
        assert answer.status_code == 200, answer.text
        assert [item["code"] for item in answer.json()["items"]] == ["empty", "flat-1"]
    assert (await ask(client, signed(), "/points/flat-2")).status_code == 404


async def test_our_own_tokens_go_on_working_beside(client: httpx.AsyncClient) -> None:
    assert (await ask(client, secret("olga"), "/points/flat-3")).status_code == 200


async def test_scopes_are_what_the_token_may_do(client: httpx.AsyncClient) -> None:
    reader = signed(scope="readings:read")
    assert (await ask(client, reader)).status_code == 200
    body = {"taken_at": "2023-02-20T12:00:00+03:00", "values": {"1.8.0": 1}}
    headers = {"Authorization": f"Bearer {reader}"}
    refused = await client.post("/api/v1/points/flat-1/readings", json=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="readings:write"' in refused.headers["www-authenticate"]
    headers = {"Authorization": f"Bearer {signed()}"}
    taken = await client.post("/api/v1/points/flat-1/readings", json=body, headers=headers)
    assert taken.status_code == 201
    assert (taken.json()["source"], taken.json()["author"]) == ("consumer", "boris")
    for scope in ("", "openid", 5, None, ["x"]):
        assert (await ask(client, signed(scope=scope))).status_code == 403
    assert (await ask(client, signed(scope=None, scp=["readings:read"]))).status_code == 200


def forged() -> dict[str, str]:
    """Tokens that must not be believed, by what is wrong with them."""
    head, body, signature = signed().split(".")
    other_body = base64.urlsafe_b64encode(json.dumps({**json.loads(_decoded(body)), "sub": "anna"}).encode()).decode()
    unsigned = jwt.encode(claims(), "", algorithm="none")
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused_head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"rsa-1"}').decode().rstrip("=")
    mac = hmac.new(public, f"{confused_head}.{body}".encode(), hashlib.sha256).digest()
    past = datetime.now(UTC) - timedelta(minutes=5)
    return {
        "alg none": unsigned,
        "alg none with our kid": jwt.encode(claims(), "", algorithm="none", headers={"kid": "rsa-1"}),
        "public key as a shared secret": f"{confused_head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        "another key": signed(OTHER_KEY),
        "an unknown key id": signed(kid="rsa-9"),
        "no key id among several": signed(kid=None),
        "the id of a key of another kind": signed(EC_KEY, "ES256", "rsa-1"),
        "an algorithm that is not pinned": signed(RSA_KEY, "RS512"),
        "changed claims": f"{head}.{other_body.rstrip('=')}.{signature}",
        "no signature": f"{head}.{body}.",
        "expired": signed(exp=past),
        "not yet in force": signed(nbf=datetime.now(UTC) + timedelta(minutes=5)),
        "another issuer": signed(iss="https://evil.example"),
        "another audience": signed(aud="mail"),
        "no audience": signed(aud=None),
        "no expiry": signed(exp=None),
        "expiry beyond all calendars": signed(exp=10**18),
        "no consumer": signed(sub=None),
        "an empty consumer": signed(sub=""),
        "a consumer that is no text": signed(sub=["boris"]),
        "a consumer with a NUL": signed(sub="boris\0"),
        "rubbish": "a.b.c",
        "dots": "..",
        "not base64": "%%%.%%%.%%%",
        "a list for a header": f"{base64.urlsafe_b64encode(b'[]').decode()}.{body}.{signature}",
    }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_nothing_forged_is_believed(client: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for wrong, token in forged().items():
        with subtests.test(wrong):
            answer = await ask(client, token)
            assert answer.status_code == 401, answer.text
            assert answer.json()["code"] == "unauthorized"


async def test_a_little_skew_of_clocks_is_forgiven(client: httpx.AsyncClient) -> None:
    token = signed(exp=datetime.now(UTC) - timedelta(seconds=5), nbf=datetime.now(UTC) + timedelta(seconds=20))
    assert (await ask(client, token)).status_code == 200


async def test_keys_are_asked_for_once_and_unknown_ids_do_not_flood_the_provider(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    for number in range(20):
        await ask(client, signed())
        await ask(client, signed(kid=f"unknown-{number}"))
    assert provider.asked == 1


async def test_new_keys_of_the_provider_are_found(provider: Provider) -> None:
    settings = IdentitySettings(ISSUER, AUDIENCE, jwks_url=provider.url, keys_pause=timedelta(0))
    believed = IdentityProvider(settings)
    assert await believed.vouch(signed(OTHER_KEY, kid="rsa-2")) is None
    provider.keys = [jwk(OTHER_KEY, "RS256", "rsa-2")]
    said = await believed.vouch(signed(OTHER_KEY, kid="rsa-2"))
    assert said is not None
    assert said.consumer == "boris"
    assert await believed.vouch(signed()) is None, "a key that was withdrawn is no longer believed"


async def test_without_the_provider_known_keys_go_on_working(provider: Provider) -> None:
    settings = IdentitySettings(
        ISSUER, AUDIENCE, jwks_url=provider.url, keys_pause=timedelta(0), keys_kept=timedelta(0)
    )
    believed = IdentityProvider(settings)
    assert await believed.vouch(signed()) is not None
    provider.keys = [{"kty": "broken"}]
    assert await believed.vouch(signed()) is not None


async def test_a_provider_that_was_never_reached_is_not_the_clients_fault() -> None:
    believed = IdentityProvider(IdentitySettings(ISSUER, AUDIENCE, jwks_url="http://127.0.0.1:9/jwks"))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        await believed.vouch(signed())


async def test_a_public_key_alone_will_do() -> None:
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    believed = IdentityProvider(IdentitySettings(ISSUER, AUDIENCE, public_key=pem))
    assert await believed.vouch(signed(kid=None)) is not None
    assert await believed.vouch(signed(OTHER_KEY, kid=None)) is None
    assert await believed.vouch(signed(EC_KEY, "ES256", None)) is None
    assert await believed.vouch(jwt.encode(claims(), "", algorithm="none")) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"jwks_url": "https://id.example/jwks", "algorithms": ("none",)},
        {"jwks_url": "https://id.example/jwks", "algorithms": ("RS256", "HS256")},
        {"jwks_url": "https://id.example/jwks", "algorithms": ()},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "https://id.example/jwks", "public_key": "x"},
        {},
    ],
)
def test_settings_that_would_believe_too_much_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        IdentitySettings(ISSUER, AUDIENCE, **settings)
