"""One connection to an MQTT broker: the only paho import.

paho makes the session (TLS, CONNECT, SUBSCRIBE, keep-alive, DISCONNECT); its socket is ours. Bytes are read in bulk,
the PUBLISH packets among them decoded by `frames`, all else given to paho, and PUBACKs are written in bulk.
(paho's own loop asks the kernel three times and makes a dozen objects for each message: about 57 µs in its thread,
28 µs in an event loop on MQTT 5; this way it is about 4.) Nothing is acknowledged unless `acknowledge` is called.

A `Connection` is used once. Message ids mean nothing on the next one, so late acknowledgements die with their object.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collectors.broker import Broker
from collectors.frames import Frames, Publish, puback
from collectors.tls import context_of
from collectors.two_writers import TwoWriters
from ingest.errors import AmrError, Refused, Unreachable

log = logging.getLogger(__name__)

_CHUNK = 256 << 10
_TICK = 1.0

Received = Callable[["Connection", list[Publish]], None]


class _Fed(Client):
    """A paho client that reads what it is given instead of its socket. (The one private name of paho we rely on.)"""

    fed = b""
    at_end = False

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self.fed and not self.at_end:
            raise BlockingIOError
        taken, self.fed = self.fed[:bufsize], self.fed[bufsize:]
        return taken


class Connection:
    """One session with the broker, from CONNECT to the end of its socket. Lives in one event loop.

    `received` is called with every portion of messages read; it must not raise and must not wait. `lost` is done with
    the error when the connection ends, however it ends.
    """

    def __init__(self, broker: Broker, filters: Mapping[str, int], received: Received) -> None:
        self.broker = broker
        self.lost: asyncio.Future[AmrError] = asyncio.get_running_loop().create_future()
        self._filters = {broker.shared(name): qos for name, qos in filters.items()}
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._frames = Frames(properties=broker.version == 5)
        self._writers = TwoWriters(self._write_packets)
        self._wired = False
        self._reading = False
        self._tick: asyncio.TimerHandle | None = None
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        self._client = self._make_client()

    async def open(self) -> None:
        """Connect and subscribe. Unreachable when nobody answers, Refused when the broker says no."""
        connecting = self._loop.run_in_executor(None, self._connect)
        try:
            await asyncio.shield(connecting)
            self._wired = True
            self.resume()
            self._beat()
            self._write()
            async with asyncio.timeout(self.broker.patience.total_seconds()):  # wait_for may swallow a cancellation
                await asyncio.shield(self._ready)
        except ssl.SSLError as e:
            raise Refused(f"{self.broker}: TLS failed ({e}); check the CA, the host name and our certificate") from e
        except TimeoutError as e:
            raise Unreachable(f"{self.broker}: no answer in {self.broker.patience.total_seconds():g} s") from e
        except OSError as e:
            raise Unreachable(f"{self.broker}: {e}; is the broker running, and the address right?") from e
        finally:
            if not self._ready.done() or self._ready.exception():
                connecting.add_done_callback(lambda _: self.abort(Unreachable(f"{self.broker}: not connected")))
                await asyncio.sleep(0)  # the socket is closed when our caller hears of it, if it ever was open

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Tell the broker to forget these messages. Nothing happens when the connection is gone: they come again."""
        if not self.lost.done():
            self._writers.add(puback(mids))
            self._write()

    def publish(self, topic: str, payload: bytes, *, retained: bool = False) -> asyncio.Future[None]:
        """Send one message with QoS 1; the future is done at the broker's PUBACK, cancelled when that never comes."""
        confirmed: asyncio.Future[None] = self._loop.create_future()
        if self.lost.done():
            confirmed.cancel()
        else:
            self._unconfirmed[self._client.publish(topic, payload, qos=1, retain=retained).mid] = confirmed
        return confirmed

    def forget(self, topic_filter: str) -> None:
        """Take a subscription back: the broker keeps nothing more for it."""
        if not self.lost.done():
            self._client.unsubscribe(self.broker.shared(topic_filter))

    def pause(self) -> None:
        """Stop reading: back-pressure reaches the broker through TCP."""
        sock: Any = self._client.socket()
        if self._reading and sock is not None:
            self._loop.remove_reader(sock)
        self._reading = False

    def resume(self) -> None:
        """Read again."""
        sock: Any = self._client.socket()
        if not self._reading and sock is not None:
            self._loop.add_reader(sock, self._readable)
            self._reading = True

    async def close(self) -> None:
        """Disconnect cleanly, within the broker's patience; the broker keeps the session and what it holds for us."""
        if not self.lost.done():
            if self.broker.status_topic:
                self.publish(self.broker.status_topic, b"offline", retained=True)
            self._client.disconnect()
            await asyncio.wait([self.lost], timeout=self.broker.patience.total_seconds())
        self.abort(Unreachable(f"{self.broker}: closed by us"))

    def abort(self, error: AmrError) -> None:
        """Drop the socket at once."""
        self._end(error)
        self._client.at_end = True
        self._client.fed = b""
        self._client.loop_read()

    # -- paho's side ------------------------------------------------------------------------------------------------

    def _make_client(self) -> _Fed:
        broker = self.broker
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
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        return client

    def _connect(self) -> None:
        """Blocks (name, TCP, TLS), so it runs in a thread; nothing of ours is wired yet."""
        keepalive = int(self.broker.keepalive.total_seconds())
        if self.broker.version == 4:
            self._client.connect(self.broker.host, self.broker.port, keepalive)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = min(int(self.broker.session.total_seconds()), 0xFFFFFFFF)
        properties.ReceiveMaximum = self.broker.window
        self._client.connect(self.broker.host, self.broker.port, keepalive, clean_start=False, properties=properties)

    def _on_connect(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(Refused(f"{self.broker}: refused, {reason}; check the user, the password and the client id"))
            return
        log.info("%s: connected, session %s", self.broker, "kept" if flags.session_present else "new")
        self._check_limits(properties)
        if self.broker.status_topic:
            self.publish(self.broker.status_topic, b"online", retained=True)
        if self._filters:
            client.subscribe(list(self._filters.items()))
        if flags.session_present or not self._filters:
            # What waited for us comes before the SUBACK, and may be more than is read before some of it is stored.
            self._set_ready()

    def _check_limits(self, properties: Properties | None) -> None:
        """MQTT 5 brokers say what they cannot do; better heard now than missed later."""
        expiry = getattr(properties, "SessionExpiryInterval", None)
        if expiry is not None and expiry < self.broker.session.total_seconds():
            log.warning("%s: the broker keeps our session for %s s only", self.broker, expiry)
        if self.broker.group and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._fail(Refused(f"{self.broker}: no shared subscriptions on this broker; take the group away"))
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._fail(Refused(f"{self.broker}: the broker grants QoS 0 only, so messages would be lost; change that"))

    def _on_subscribe(
        self, client: Client, data: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        for (name, wanted), reason in zip(self._filters.items(), reasons, strict=False):
            if reason.is_failure:
                error = Refused(f"{self.broker}: may not subscribe to {name!r} ({reason}); allow it at the broker")
                self._loop.call_soon(self.abort, error)  # paho may not be ended from within its own callback
                return
            if reason.value < wanted:
                log.warning("%s: QoS %s granted for %r instead of %s", self.broker, reason.value, name, wanted)
        self._set_ready()

    def _on_publish(
        self, client: Client, data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        confirmed = self._unconfirmed.pop(mid, None)
        if confirmed is not None and not confirmed.done():
            if reason.is_failure:
                log.warning("%s: a message of ours is refused, %s; allow the topic at the broker", self.broker, reason)
                confirmed.cancel()
            else:
                confirmed.set_result(None)

    def _on_disconnect(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._end(Unreachable(f"{self.broker}: the connection ended, {reason}"))

    def _on_socket_close(self, client: Client, data: object, sock: Any) -> None:
        if self._wired:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._reading = False

    def _on_register_write(self, client: Client, data: object, sock: Any) -> None:
        if self._wired:
            self._loop.add_writer(sock, self._write)

    # -- the socket's side ------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        sock: Any = self._client.socket()
        try:
            data = sock.recv(_CHUNK)
            while pending := (sock.pending() if isinstance(sock, ssl.SSLSocket) else 0):
                data += sock.recv(pending)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as e:
            self.abort(_because(Unreachable(f"{self.broker}: the connection broke, {e}"), e))
            return
        if not data:
            self.abort(Unreachable(f"{self.broker}: the broker closed the connection"))
            return
        try:
            self._sort(data)
        except AmrError as error:
            self.abort(error)
        except Exception as e:
            log.exception("%s: a received packet broke us; connecting anew", self.broker)
            self.abort(_because(Unreachable(f"{self.broker}: given up after {e!r}"), e))

    def _sort(self, data: bytes) -> None:
        """Messages to `received`, all else to paho, which may end the connection in it."""
        messages: list[Publish] = []
        for packet in self._frames.feed(data):
            if isinstance(packet, Publish):
                messages.append(packet)
            elif not self.lost.done():
                self._client.fed = packet
                self._client.loop_read()
        if messages:
            self._received(self, messages)

    def _write(self) -> None:
        sock: Any = self._client.socket()
        if sock is None:
            return
        try:
            more = self._writers.write(sock)
        except OSError as e:
            self.abort(_because(Unreachable(f"{self.broker}: the connection broke, {e}"), e))
            return
        if self._client.socket() is None:
            return
        if more:
            self._loop.add_writer(sock, self._write)
        else:
            self._loop.remove_writer(sock)

    def _write_packets(self) -> bool:
        """paho's own packets; True when one of them is half-sent."""
        self._client.loop_write()
        return self._client.want_write()

    def _beat(self) -> None:
        """paho's clockwork: keep-alive."""
        if self.lost.done():
            return
        if self._client.loop_misc() not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_CONN_LOST):
            self.abort(Unreachable(f"{self.broker}: the connection is gone"))
        self._tick = self._loop.call_later(_TICK, self._beat)

    def _set_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, error: AmrError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # heard by `open`, if it still listens

    def _end(self, error: AmrError) -> None:
        self._fail(error)
        if not self.lost.done():
            self.lost.set_result(error)
        if self._tick is not None:
            self._tick.cancel()
        while self._unconfirmed:
            self._unconfirmed.popitem()[1].cancel()


def _because(error: AmrError, cause: BaseException) -> AmrError:
    error.__cause__ = cause
    return error
