"""paho's half of a connection: CONNECT, SUBSCRIBE, keep-alive, DISCONNECT. The only paho import; its words become ours.

paho never reads its socket here: it is given the packets that are meant for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collectors.broker import Broker
from collectors.tls import context_of
from ingest.errors import AmrError, Malformed, Refused, Unreachable

log = logging.getLogger(__name__)

_ALIVE = (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_CONN_LOST)  # of a lost one `ended` has told


class Heard(NamedTuple):
    """Who hears what happens to a session. Called from within paho, which may not be ended from there."""

    accepted: Callable[[bool], None]
    """The broker took us; True when it has had a session of ours all along."""
    subscribed: Callable[[], None]
    """It granted everything we subscribed to."""
    refused: Callable[[AmrError], None]
    """It said no to something that is needed."""
    confirmed: Callable[[int, str | None], None]
    """It has the message of this id, or says why it does not take it."""
    ended: Callable[[AmrError], None]
    """The connection is over."""
    closing: Callable[[Any], None]
    """The socket is about to be closed."""
    has_more: Callable[[Any], None]
    """There is something to write to the socket."""


class _Fed(Client):
    """A paho client that reads what it is given instead of its socket. (The one private name of paho we rely on.)"""

    fed = b""
    at_end = False

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self.fed and not self.at_end:
            raise BlockingIOError
        taken, self.fed = self.fed[:bufsize], self.fed[bufsize:]
        return taken


class Session:
    """What paho does for one connection. `filters` maps the topic filters to subscribe to, to their QoS."""

    def __init__(self, broker: Broker, filters: Mapping[str, int], heard: Heard) -> None:
        self._broker = broker
        self._filters = filters
        self._heard = heard
        self._client = self._make_client()

    @property
    def socket(self) -> Any:
        """The socket, None before there is one and after."""
        return self._client.socket()

    def connect(self) -> None:
        """Name, TCP, TLS and CONNECT: blocks, for a thread. OSError (ssl.SSLError) when that fails."""
        broker, client = self._broker, self._client
        keepalive = int(broker.keepalive.total_seconds())
        if broker.version == 4:
            client.connect(broker.host, broker.port, keepalive)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = min(int(broker.session.total_seconds()), 0xFFFFFFFF)
        properties.ReceiveMaximum = broker.window
        client.connect(broker.host, broker.port, keepalive, clean_start=False, properties=properties)

    def publish(self, topic: str, payload: bytes, *, retained: bool) -> int:
        """Send one message with QoS 1; gives its id. Malformed for a topic that MQTT cannot carry."""
        try:
            return self._client.publish(topic, payload, qos=1, retain=retained).mid
        except ValueError as error:
            raise Malformed(f"topic {topic!r:.80} cannot be published to: {error}") from error

    def unsubscribe(self, name: str) -> None:
        """Take a subscription back."""
        self._client.unsubscribe(name)

    def disconnect(self) -> None:
        """Say goodbye; the connection ends when the broker has heard it."""
        self._client.disconnect()

    def feed(self, packet: bytes) -> None:
        """A packet that is paho's, whole; the connection may end in it."""
        self._client.fed = packet
        self._client.loop_read()

    def write(self) -> bool:
        """Send paho's own packets; True when one of them is half-sent."""
        self._client.loop_write()
        return self._client.want_write()

    def beat(self) -> bool:
        """paho's clockwork, the keep-alive: to be called every second; False when it gave the connection up."""
        return self._client.loop_misc() in _ALIVE

    def drop(self) -> None:
        """Close the socket at once."""
        self._client.at_end = True
        self._client.fed = b""
        self._client.loop_read()

    def _make_client(self) -> _Fed:
        broker = self._broker
        old = broker.version == 4
        client = _Fed(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv311 if old else MQTTProtocolVersion.MQTTv5,
            clean_session=False if old else None,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = broker.patience.total_seconds()
        client.username = broker.username
        client.password = broker.password
        if broker.tls is not None:
            client.tls_set_context(context_of(broker.tls))
        if broker.status_topic:
            client.will_set(broker.status_topic, b"offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = lambda _, __, sock: self._heard.closing(sock)
        client.on_socket_register_write = lambda _, __, sock: self._heard.has_more(sock)
        return client

    def _on_connect(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            error = Refused(f"{self._broker}: refused, {reason}; check the user, the password and the client id")
            self._heard.refused(error)
            return
        log.info("%s: connected, session %s", self._broker, "kept" if flags.session_present else "new")
        self._check_limits(properties)
        self._heard.accepted(flags.session_present)
        if self._filters:
            client.subscribe(list(self._filters.items()))

    def _check_limits(self, properties: Properties | None) -> None:
        """MQTT 5 brokers say what they cannot do; better heard now than missed later."""
        broker = self._broker
        expiry = getattr(properties, "SessionExpiryInterval", None)
        if expiry is not None and expiry < broker.session.total_seconds():
            log.warning("%s: the broker keeps our session for %s s only", broker, expiry)
        if broker.group and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._heard.refused(Refused(f"{broker}: no shared subscriptions on this broker; take the group away"))
        if getattr(properties, "MaximumQoS", 1) < 1:
            error = Refused(f"{broker}: the broker grants QoS 0 only, so messages would be lost; change that")
            self._heard.refused(error)

    def _on_subscribe(
        self, client: Client, data: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        for (name, wanted), reason in zip(self._filters.items(), reasons, strict=False):
            if reason.is_failure:
                error = Refused(f"{self._broker}: may not subscribe to {name!r} ({reason}); allow it at the broker")
                self._heard.refused(error)
                return
            if reason.value < wanted:
                log.warning("%s: QoS %s granted for %r instead of %s", self._broker, reason.value, name, wanted)
        self._heard.subscribed()

    def _on_publish(
        self, client: Client, data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._heard.confirmed(mid, str(reason) if reason.is_failure else None)

    def _on_disconnect(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        told = f"the broker ended the connection, {reason}" if flags.is_disconnect_packet_from_server else ""
        self._heard.ended(Unreachable(f"{self._broker}: {told or 'the connection ended'}"))
