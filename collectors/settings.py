"""What a deployment chooses of its collectors: broker, formats, catalogue. Environment variables AMR_*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
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
from ingest.model import Line, Meter, Polled, RegisterSpec


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
    mqtt_key: Path | None = Field(default=None, description="Its key")
    formats: str = Field(default=OWN, description="MQTT formats understood, by name, separated by commas")
    formats_folder: Path | None = Field(default=None, description="Folder with MQTT formats of your own")
    catalog: Path | None = Field(default=None, description="Folder of your own meter models, beside the shipped ones")

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
