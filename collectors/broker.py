"""Where the broker is and who we are to it: an address, an identity that must stay, a window and its safeguards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self
from urllib.parse import unquote, urlsplit

from collectors.tls import Tls
from ingest.errors import Misconfigured

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """One MQTT broker as one client sees it.

    `client_id` names the session the broker keeps for us: it must stay the same over restarts and belong to one process
    only. `group` makes it a member of a shared subscription. `window` is how many messages may be unacknowledged
    (MQTT 5 Receive Maximum, 1 to 65535); less than two batches of the intake starves it. `status_topic` gets a retained
    `online`, and by last will `offline`.
    """

    host: str
    port: int = 1883
    client_id: str = "amr"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    version: int = 5
    group: str | None = None
    window: int = 20_000
    session: timedelta = timedelta(days=30)
    keepalive: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(seconds=10)
    status_topic: str | None = None

    def __post_init__(self) -> None:
        if self.version not in (4, 5):
            raise Misconfigured(f"MQTT version {self.version} is not spoken here; write 5, or 4 for MQTT 3.1.1")
        if not 1 <= self.window <= 65535:
            raise Misconfigured(f"MQTT window {self.window} is out of range; write 1 to 65535 messages")
        if not self.client_id:
            raise Misconfigured("MQTT client id is empty; the broker keeps our messages under it, so name it")
        if self.group is not None and (not self.group or set(self.group) & set("/+#")):
            raise Misconfigured(f"MQTT group {self.group!r} must be a word without '/', '+' and '#'")
        if self.status_topic is not None and (not self.status_topic or set(self.status_topic) & set("+#")):
            raise Misconfigured(f"MQTT status topic {self.status_topic!r} must be one topic without '+' and '#'")

    @classmethod
    def from_url(cls, url: str, **changes: object) -> Self:
        """`mqtt://[user:password@]host[:port]` or `mqtts://…`; else Misconfigured, without the password."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError):
            parts, port = urlsplit(""), 0
        if not parts.hostname or not port or parts.path not in ("", "/") or parts.query or parts.fragment:
            before, at, shown = url.rpartition("@")  # a password with / or # in it is cut anywhere
            scheme = f"{before.partition('://')[0]}://…@" if at and "://" in before else "…@" if at else ""
            raise Misconfigured(
                f"broker address {scheme + shown!r} must look like mqtt://host:1883 or mqtts://host:8883; "
                "in a password write %40 for @, %2F for / and %23 for #"
            ) from None
        broker = cls(
            parts.hostname,
            port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=Tls() if parts.scheme == "mqtts" else None,
        )
        return replace(broker, **changes)  # type: ignore[arg-type]

    def shared(self, topic_filter: str) -> str:
        """A topic filter as it is subscribed to: through the group, if we are a member of one."""
        return f"$share/{self.group}/{topic_filter}" if self.group else topic_filter

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port} as {self.client_id!r}"
