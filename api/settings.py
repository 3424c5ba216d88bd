"""What a deployment chooses of its API: where it listens, who may call it, how often. Environment variables AMR_*."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from api.choices import ApiSettings, IdentitySettings
from api.company import Company, sender_zones, zone_of
from ingest.billing import Window
from ingest.consumption import Policy
from ingest.errors import Misconfigured
from ingest.model import Source


class HttpSettings(BaseSettings):
    """The API's part of the deployment's settings; see `Settings` in amr.py for how they are read."""

    http_host: str = Field(default="127.0.0.1", description="Address the API listens on")
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port the API listens on; 0 for a free one")
    metrics_host: str = Field(default="127.0.0.1", description="Address of the page for monitoring")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Its port, for /metrics and /healthz; none: no such page"
    )
    cors_origins: str = Field(default="", description="Web origins whose pages may call the API, separated by commas")
    rate: float = Field(default=50.0, ge=0, description="Requests a second for one token; 0 limits nobody")
    burst: int = Field(default=200, ge=1, description="Requests of one token at once")
    window_first: int = Field(default=15, ge=1, le=31, description="First day of the month to enter readings on")
    window_last: int = Field(default=25, ge=1, le=31, description="Last day of the month to enter readings on")
    asked_a_day: int = Field(default=10, ge=1, description="Readings a consumer may ask for in 24 hours")
    asked_at_once: int = Field(default=3, ge=1, description="Of these, how many may be open at once")
    sources: str = Field(
        default="inspection, automatic, import, operator=consumer, estimate",
        description="Which source counts where several exist, the best first; equals are joined by =",
    )
    nominal_voltage: Decimal = Field(
        default=Decimal(230), gt=0, le=1000, description="Nominal voltage of a phase, V; ±10 % of it are the limits"
    )
    streams: int = Field(default=500, ge=1, description="Streams of events one process serves at once")
    streams_each: int = Field(default=5, ge=1, description="Streams of events of one caller at once")
    company_inn: str = Field(default="", description="INN that 80020 messages are signed with")
    company_name: str = Field(default="", description="Name of the company, for statements and 80020 messages")
    company_zone: str = Field(default="Europe/Moscow", description="Clock of 80020 messages, and of senders not named")
    sender_zones: str = Field(default="", description="Clocks of other 80020 senders: 7703311228=Europe/Samara, …")
    windows: str = Field(
        default="", description="The same days for categories of points that differ: office=20-31, garage=1-10"
    )
    jwt_issuer: str | None = Field(default=None, description="Identity provider whose JWTs are believed; none: no JWTs")
    jwt_audience: str = Field(default="amr", description="Audience its JWTs must name")
    jwt_jwks_url: str | None = Field(default=None, description="Where its public keys are")
    jwt_public_key: Path | None = Field(default=None, description="Or its public key, a PEM file")

    def api(self) -> ApiSettings:
        """What the deployment chose of the API. Misconfigured names a key that cannot be read."""
        identity = None
        if self.jwt_issuer is not None:
            try:
                pem = None if self.jwt_public_key is None else self.jwt_public_key.read_text()
            except OSError as error:
                wrong = f"AMR_JWT_PUBLIC_KEY {self.jwt_public_key}: {error.strerror}"
                raise Misconfigured(f"{wrong}; name a PEM file") from error
            identity = IdentitySettings(self.jwt_issuer, self.jwt_audience, self.jwt_jwks_url, pem)
        origins = tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())
        window = Window(self.window_first, self.window_last)
        return ApiSettings(
            rate=self.rate,
            burst=self.burst,
            origins=origins,
            identity=identity,
            window=window,
            windows=_windows(self.windows),
            asked_a_day=self.asked_a_day,
            asked_at_once=self.asked_at_once,
            policy=Policy(order=_order(self.sources)),
            nominal_voltage=self.nominal_voltage,
            streams=self.streams,
            streams_each=self.streams_each,
            company=self.company(),
        )

    def company(self) -> Company:
        """Who signs files, and on whose clocks other companies' files are. Misconfigured names what is no zone."""
        zone = zone_of("AMR_COMPANY_ZONE", self.company_zone)
        senders = sender_zones("AMR_SENDER_ZONES", self.sender_zones)
        return Company(self.company_inn, self.company_name, zone, senders)


def _windows(text: str) -> dict[str, Window]:
    """Submission windows by category. Raises Misconfigured naming the one that cannot be read."""
    found = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        category, _, days = entry.partition("=")
        first, _, last = days.partition("-")
        try:
            found[category.strip()] = Window(int(first), int(last))
        except ValueError as error:
            wrong = f"AMR_WINDOWS {entry!r} is no window"
            raise Misconfigured(f"{wrong}; write category=first-last, days of the month, like office=20-31") from error
    return found


def _order(text: str) -> tuple[tuple[Source, ...], ...]:
    """Groups of sources, the best first. Raises Misconfigured unless each is named once."""
    names = [[name.strip() for name in group.split("=")] for group in text.split(",")]
    known = {source.label: source for source in Source}
    if sorted(name for group in names for name in group) != sorted(known):
        every = ", ".join(known)
        raise Misconfigured(f"AMR_SOURCES {text!r} is no order of sources; name each of {every} once, the best first")
    return tuple(tuple(known[name] for name in group) for group in names)
