"""One connection to an MQTT broker: its socket, and what passes over it.

paho makes the session (`paho_session`); its socket is ours. Bytes are read in bulk, the PUBLISH packets among them
decoded by `frames`, all else given to paho, and PUBACKs are written in bulk. (paho's own loop asks the kernel three
times and makes a dozen objects for each message: about 57 µs in its thread, 28 µs in an event loop on MQTT 5; this way
it is about 4.) Nothing is acknowledged unless `acknowledge` is called.

A `Connection` is used once. Message ids mean nothing on the next one, so late acknowledgements die with their object.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collectors.broker import Broker
from collectors.frames import Frames, Publish, puback
from collectors.paho_session import Heard, Session
from collectors.two_writers import TwoWriters
from ingest.errors import AmrError, Malformed, Refused, Unreachable

log = logging.getLogger(__name__)

_CHUNK = 256 << 10
_TICK = 1.0

MOST_UNCONFIRMED = 20_000
"""Messages of ours without their PUBACK, after which a broker that still answers is taken for a broken one."""

Received = Callable[["Connection", list[Publish]], None]


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
        self._writers = TwoWriters(lambda: self._session.write())
        self._wired = False
        self._reading = False
        self._tick: asyncio.TimerHandle | None = None
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        heard = Heard(
            self._accepted,
            self._subscribed,
            self._refused,
            self._confirmed,
            self._end,
            self._closing,
            self._has_more,
        )
        self._session = Session(broker, self._filters, heard)

    async def open(self) -> None:
        """Connect and subscribe. Unreachable when nobody answers, Refused when the broker says no."""
        connecting = self._loop.run_in_executor(None, self._session.connect)
        try:
            await asyncio.shield(connecting)
            self._wired = True
            self.resume()
            self._beat()
            self._write()
            async with asyncio.timeout(self.broker.patience.total_seconds()):  # wait_for may swallow a cancellation
                await asyncio.shield(self._ready)
        except ssl.SSLError as e:
            raise Refused(
                f"{self.broker}: TLS failed ({e}); check the CA, the host name, our certificate, and that this is a TLS"
                " port"
            ) from e
        except TimeoutError as e:
            raise Unreachable(
                f"{self.broker}: no answer in {self.broker.patience.total_seconds():g} s; does a broker listen there?"
            ) from e
        except OSError as e:
            tls = ", and that a TLS port" if self.broker.tls else ""
            raise Unreachable(f"{self.broker}: {e}; is the broker running, and the address right{tls}?") from e
        except Unreachable as e:
            raise Unreachable(f"{e}, before it answered: {self._why_unanswered()}") from e
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
        elif len(self._unconfirmed) >= MOST_UNCONFIRMED:
            broken = Unreachable(
                f"{self.broker}: it confirms nothing, {MOST_UNCONFIRMED} of our messages wait for that"
            )
            self._loop.call_soon(self.abort, broken)
            confirmed.cancel()
        else:
            try:
                self._unconfirmed[self._session.publish(topic, payload, retained=retained)] = confirmed
            except Malformed as error:  # a name out of somebody's topic, made longer
                log.warning("%s: a message of ours is not sent: %s", self.broker, error)
                confirmed.cancel()
        return confirmed

    def forget(self, topic_filter: str) -> None:
        """Take a subscription back: the broker keeps nothing more for it."""
        if not self.lost.done():
            self._session.unsubscribe(self.broker.shared(topic_filter))

    def pause(self) -> None:
        """Stop reading: back-pressure reaches the broker through TCP."""
        sock = self._session.socket
        if self._reading and sock is not None:
            self._loop.remove_reader(sock)
        self._reading = False

    def resume(self) -> None:
        """Read again."""
        sock = self._session.socket
        if not self._reading and sock is not None:
            self._loop.add_reader(sock, self._readable)
            self._reading = True

    async def close(self) -> None:
        """Disconnect cleanly, within the broker's patience; the broker keeps the session and what it holds for us."""
        if not self.lost.done():
            if self.broker.status_topic:
                self.publish(self.broker.status_topic, b"offline", retained=True)
            self._session.disconnect()
            await asyncio.wait([self.lost], timeout=self.broker.patience.total_seconds())
        self.abort(Unreachable(f"{self.broker}: closed by us"))

    def abort(self, error: AmrError) -> None:
        """Drop the socket at once."""
        self._end(error)
        self._session.drop()

    def _why_unanswered(self) -> str:
        if self.broker.tls is None:
            return "does this port want TLS (mqtts://)?"
        return "is our certificate one that the broker takes, and not over?"

    # -- what paho tells --------------------------------------------------------------------------------------------

    def _accepted(self, kept: bool) -> None:
        if self.broker.status_topic:
            self.publish(self.broker.status_topic, b"online", retained=True)
        if kept or not self._filters:
            # What waited for us comes before the SUBACK, and may be more than is read before some of it is stored.
            self._subscribed()

    def _subscribed(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _refused(self, error: AmrError) -> None:
        self._fail(error)
        self._loop.call_soon(self.abort, error)

    def _confirmed(self, mid: int, refused: str | None) -> None:
        confirmed = self._unconfirmed.pop(mid, None)
        if confirmed is not None and not confirmed.done():
            if refused is None:
                confirmed.set_result(None)
            else:
                log.warning("%s: a message of ours is refused, %s; allow the topic at the broker", self.broker, refused)
                confirmed.cancel()

    def _closing(self, sock: Any) -> None:
        if self._wired:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._reading = False

    def _has_more(self, sock: Any) -> None:
        if self._wired:
            self._loop.add_writer(sock, self._write)

    # -- the socket's side ------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        sock = self._session.socket
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
                self._session.feed(packet)
        if messages:
            self._received(self, messages)

    def _write(self) -> None:
        sock = self._session.socket
        if sock is None:
            return
        try:
            more = self._writers.write(sock)
        except OSError as e:
            self.abort(_because(Unreachable(f"{self.broker}: the connection broke, {e}"), e))
            return
        if self._session.socket is None:
            return
        if more:
            self._loop.add_writer(sock, self._write)
        else:
            self._loop.remove_writer(sock)

    def _beat(self) -> None:
        """Keep-alive."""
        if self.lost.done():
            return
        if not self._session.beat():
            self.abort(Unreachable(f"{self.broker}: the connection is gone"))
        self._tick = self._loop.call_later(_TICK, self._beat)

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
