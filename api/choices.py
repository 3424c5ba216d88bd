"""What a deployment chooses of the API and tells it of devices. Imports no library: every verb reads settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from api.company import Company
from ingest.billing import Window
from ingest.consumption import Policy
from ingest.delivery import Delivery, Reject
from ingest.errors import Misconfigured
from ingest.model import RegisterSpec
from storage.fleet_model import LineCheck, MeterCheck, Models
from storage.held import Parse

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""What may be pinned: signatures only. A shared secret or `none` could be forged by whoever reads our settings."""


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Whose tokens are believed. Exactly one of `jwks_url` and `public_key` (PEM) says by which keys.

    `keys_kept` is how long keys are believed without asking again; an unknown key id asks sooner, but not more often
    than every `keys_pause`.
    """

    issuer: str
    audience: str
    jwks_url: str | None = None
    public_key: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    leeway: timedelta = timedelta(seconds=30)
    consumer_claim: str = "sub"
    keys_kept: timedelta = timedelta(hours=1)
    keys_pause: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        wrong = sorted(set(self.algorithms) - ALGORITHMS)
        if wrong or not self.algorithms:
            raise Misconfigured(f"algorithms {wrong} cannot be pinned; choose among {', '.join(sorted(ALGORITHMS))}")
        if (self.jwks_url is None) == (self.public_key is None):
            raise Misconfigured("jwks_url and public_key of the identity provider: set exactly one of the two")
        if self.jwks_url is not None and not self.jwks_url.startswith(("https://", "http://")):
            raise Misconfigured(f"jwks_url {self.jwks_url!r} is not an address; write https://…")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What a deployment may choose.

    `token_ttl` is how long a revoked token may still work. Bodies have at most `body_limit` bytes, those that are files
    `file_limit`. `rate` requests a second (and `burst` at once) are served
    to one token by one process; a rate of 0 limits nobody. `origins` are the web origins whose pages may call us.
    `window` is when readings should be typed in, `windows` the same for categories of points that differ. A
    consumer may ask for `asked_a_day` readings in 24 hours, with `asked_at_once` of them open. One process serves
    `streams` of events, `streams_each` to one caller. `policy` says which
    source counts before which. `nominal_voltage` is that of a phase, where no transformer
    stands before the meter. `company` is who signs the files that are made here.
    """

    token_ttl: timedelta = timedelta(seconds=2)
    body_limit: int = 64 * 1024
    file_limit: int = 8 * 1024 * 1024
    interval_limit: int = 20_000
    rate: float = 50.0
    burst: int = 200
    origins: tuple[str, ...] = ()
    identity: IdentitySettings | None = None
    window: Window = field(default_factory=Window)
    windows: Mapping[str, Window] = field(default_factory=dict)
    asked_a_day: int = 10
    asked_at_once: int = 3
    policy: Policy = field(default_factory=Policy)
    nominal_voltage: Decimal = Decimal(230)
    streams: int = 500
    streams_each: int = 5
    company: Company = field(default_factory=Company)

    def window_of(self, category: str) -> Window:
        """The submission window of a category of points."""
        return self.windows.get(category, self.window)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One meter model of the catalogue: who makes it, what it speaks, where its facts are from, and its registers."""

    manufacturer: str
    title: str
    speaks: str
    source: str
    registers: tuple[RegisterSpec, ...]


def _understands_nothing(topic: str, payload: bytes, received_at: datetime) -> Delivery:
    reject = Reject("unparsed", "this process was given no formats", payload)
    return Delivery(f"mqtt:{topic}", rejects=[reject], raw=payload)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What collectors know of devices, and the API is told by whoever assembles both: models, lines, formats."""

    catalog: Mapping[str, ModelFacts] = field(default_factory=dict)
    check_line: LineCheck | None = None
    check_meter: MeterCheck | None = None
    parse: Parse = _understands_nothing

    def models(self) -> Models:
        """The registers of every model."""
        return {name: model.registers for name, model in self.catalog.items()}
