"""What a deployment chooses of its collectors: broker, formats, catalogue. Environment variables AMR_*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from collectors.broker import Broker
from collectors.catalog import load_catalog
from collectors.formats_in_use import OWN, load_formats
from collectors.payload import Message
from collectors.serial_link import check_meter, line_link
from collectors.tls import Tls
from ingest.delivery import Delivery
from ingest.errors import Misconfigured
from ingest.model import Line, Meter, Polled, RegisterSpec

_EDGE_SESSION = timedelta(days=1)
"""How long a broker keeps confirmations for a gateway that is away: what it misses is confirmed once more."""


class CollectorSettings(BaseSettings):
    """The collectors' part of the deployment's settings; see `Settings` in amr.py for how they are read."""

    mqtt_url: SecretStr | None = Field(default=None, description="Broker, mqtt:// or mqtts://; none: no subscription")
    mqtt_client_id: str = Field(default="amr", description="Fixed name of this process's session at the broker")
    mqtt_version: int = Field(default=5, description="5, or 4 for MQTT 3.1.1")
    mqtt_group: str | None = Field(default=None, description="Share the stream with other members of this group")
    mqtt_try_out: bool = Field(default=True, description="Try out at the start whether the broker's queues are enough")
    mqtt_status_topic: str | None = Field(
        default=None, description="Topic that says online, and by last will offline; none: nobody is told"
    )
    mqtt_ca: Path | None = Field(default=None, description="CA the broker's certificate must be of; none: the system's")
    mqtt_certificate: Path | None = Field(default=None, description="Client certificate for the broker")
    mqtt_key: Path | None = Field(default=None, description="Key of that client certificate")
    forward: SecretStr | None = Field(
        default=None,
        description="Broker of the central ingest that what is polled here is forwarded to; none: store it",
    )
    gateway: str | None = Field(
        default=None, description="Name this collector forwards under; none: the user in the address of AMR_FORWARD"
    )
    forward_spread: float = Field(
        default=15.0, ge=0, description="Seconds within which gateways begin with their backlogs after a connection"
    )
    fleet: Path | None = Field(default=None, description="Fleet file polled when forwarding; none: the stored fleet")
    formats: str = Field(default=OWN, description="MQTT formats understood, by name, separated by commas")
    formats_folder: Path | None = Field(default=None, description="Folder with MQTT formats of your own")
    catalog: Path | None = Field(default=None, description="Folder of your own meter models, beside the shipped ones")
    lines: str = Field(
        default="*", description="Lines this collector may poll: names or patterns like tp-1*, with commas; or none"
    )
    spool: Path | None = Field(
        default=None, description="Folder where polls wait for an absent database; none: spool in AMR_DATA"
    )
    spool_mb: int = Field(default=1024, ge=1, description="Megabytes of it; when full the first and last of days stay")
    spool_days: int = Field(default=90, ge=1, description="Days of it, after which the first and last of days stay")
    offline_hours: float = Field(
        default=24.0, ge=0, description="Hours a collector without a standby polls on without the database"
    )
    collector_name: str | None = Field(
        default=None, description="This collector's lasting name, by which it owns lines; none: the host's"
    )
    backfill_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of a line's spare time for asking meters' memories; 0: never"
    )

    def may_poll(self, line: str) -> bool:
        """Whether this collector is one of those that reach the line."""
        return any(fnmatchcase(line, name.strip()) for name in self.lines.split(",") if self.lines != "none")

    @property
    def format_names(self) -> list[str]:
        return [name.strip() for name in self.formats.split(",") if name.strip()]

    def broker(self, url: SecretStr) -> Broker:
        """The broker as this process's one session sees it."""
        broker = Broker.from_url(
            url.get_secret_value(),
            client_id=self.mqtt_client_id,
            group=self.mqtt_group,
            version=self.mqtt_version,
            status_topic=self.mqtt_status_topic,
        )
        tls = Tls(self.mqtt_ca, self.mqtt_certificate, self.mqtt_key)
        return broker if broker.tls is None else replace(broker, tls=tls)

    def edge(self, url: SecretStr) -> tuple[Broker, str]:
        """The central broker as a forwarding collector sees it, and the gateway it is there."""
        broker = self.broker(url)
        gateway = self.gateway or broker.username
        if not gateway:
            raise Misconfigured(
                "forwarding needs the name of this gateway, which its meters have as `gateway` in the central fleet:"
                " give --gateway or AMR_GATEWAY, or log in under it, like mqtts://tp-101:password@broker"
            )
        return replace(
            broker, client_id=f"{broker.client_id}-edge-{gateway}", group=None, session=_EDGE_SESSION
        ), gateway

    def message_parser(self) -> Callable[[str, bytes, datetime], Delivery]:
        """Understands MQTT messages as the subscriber does: for what is replayed from quarantine."""
        formats = load_formats(self.format_names, self.formats_folder)
        return lambda topic, payload, received_at: formats.parse(Message(topic, payload, received_at))

    def models(self) -> dict[str, tuple[RegisterSpec, ...]]:
        """The registers of every model of the catalogue, for whoever adds meters."""
        return load_catalog(self.catalog).specs()

    def check_line(self, line: Line) -> object:
        """Raises Misconfigured when no collector could work with this line."""
        return line_link(line, load_catalog(self.catalog))

    def check_meter(self, line: Line, meter: Meter) -> None:
        """Raises Misconfigured when the meter cannot be asked over this line: its model, address or options."""
        address = meter.address or ""
        asked = Polled(meter.serial, meter.model, address, meter.period, options=meter.options)
        check_meter(line, asked, load_catalog(self.catalog))
