"""The connection to a broker: identity, TLS, refusals, silence, and bytes that never mix."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from collectors import mqtt
from collectors.broker import Broker
from collectors.forward import Forwarder, Pace
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import LARGEST_PAYLOAD
from collectors.settings import CollectorSettings
from collectors.spool import Spool
from collectors.tls import Tls
from ingest.errors import AmrError, Misconfigured, Refused, Unreachable
from simulators.broker import EmbeddedBroker
from simulators.mosquitto import Mosquitto
from storage.database import Database
from tests.collectors.certificates import Certificates, make_certificates
from tests.collectors.push_rig import (
    FILTERS,
    HeldDoor,
    fetch,
    intake_on,
    message,
    meters,
    publish_all,
    running,
    stored,
    subscribed,
    until,
)
from tests.collectors.test_frames import length, publish

QUICK = timedelta(seconds=2)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Mosquitto's own user can read."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def certificates(folder: Path) -> Certificates:
    return make_certificates(folder)


@asynccontextmanager
async def connected(broker: Broker) -> AsyncIterator[Connection]:
    connection = Connection(broker, FILTERS, lambda _, messages: None)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtt://broker:1234/", "broker", 1234, False),
        ("mqtts://[::1]:99", "::1", 99, True),
    ],
)
def test_addresses(url: str, host: str, port: int, tls: bool) -> None:
    broker = Broker.from_url(url)
    assert (broker.host, broker.port, broker.tls is not None) == (host, port, tls)


def test_a_password_is_taken_from_the_address_and_never_shown() -> None:
    broker = Broker.from_url("mqtt://us%40er:se%2Fcret@broker")
    assert (broker.username, broker.password) == ("us@er", "se/cret")
    assert "cret" not in f"{broker} {broker!r}"


@pytest.mark.parametrize(
    "url", ["", "broker", "http://broker", "mqtt://", "mqtt://x:port", "mqtt://x:99999", "mqtt://u:secret@x/topic"]
)
def test_a_wrong_address_is_named_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured, match="mqtt://host:1883") as caught:
        Broker.from_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"window": 0},
        {"window": 65536},
        {"client_id": ""},
        {"group": "a/b"},
        {"group": ""},
        {"status_topic": "amr/v1/status/#"},
    ],
)
def test_wrong_settings_are_named(change: dict[str, object]) -> None:
    with pytest.raises(Misconfigured, match=next(iter(change)).removeprefix("client_").replace("_", " ")):
        Broker.from_url("mqtt://broker", **change)


def test_the_settings_name_the_status_topic() -> None:
    settings = CollectorSettings(mqtt_status_topic="amr/v1/status/ingest-1")
    assert settings.broker(SecretStr("mqtt://broker")).status_topic == "amr/v1/status/ingest-1"


async def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="is the broker running"):
        await Connection(Broker("127.0.0.1", 1), FILTERS, lambda _, messages: None).open()


async def test_somebody_silent_is_unreachable() -> None:
    ended = asyncio.Event()

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = Broker("127.0.0.1", port, patience=timedelta(seconds=0.3))
        with pytest.raises(Unreachable, match=r"no answer in 0\.3 s"):
            await Connection(broker, FILTERS, lambda _, messages: None).open()
        await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("version", [5, 4])
async def test_a_wrong_password_is_refused_and_a_right_one_is_not(folder: Path, version: int) -> None:
    passwords = folder / "passwords"
    make = await asyncio.create_subprocess_exec("mosquitto_passwd", "-b", "-c", passwords, "amr", "right")
    assert await asyncio.wait_for(make.wait(), 10) == 0
    passwords.chmod(0o644)
    async with Mosquitto(f"allow_anonymous false\npassword_file {passwords}") as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, username="amr", password="wrong", version=version)
        with pytest.raises(Refused, match="check the user"):
            await Connection(broker, FILTERS, lambda _, messages: None).open()
        async with connected(replace(broker, password="right")) as connection:
            assert not connection.lost.done()


@pytest.mark.parametrize("version", [5, 4])
async def test_a_subscription_that_is_not_allowed_is_refused(folder: Path, version: int) -> None:
    rules = folder / "acl"
    rules.write_text("topic read other/#\n")
    rules.chmod(0o644)
    async with Mosquitto(f"acl_file {rules}") as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, version=version)
        # Mosquitto grants subscriptions and keeps the messages back; a broker that says no is scripted below.
        async with connected(broker):
            pass
    suback = b"\x90\x04\x00\x01\x00\x87" if version == 5 else b"\x90\x03\x00\x01\x80"
    async with scripted(version, suback) as (port, _):
        with pytest.raises(Refused, match=r"may not subscribe to 'amr/v1/\+/readings'"):
            await Connection(Broker("127.0.0.1", port, version=version), FILTERS, lambda _, messages: None).open()


async def test_tls_with_our_ca_and_our_certificate(certificates: Certificates, database: Database) -> None:
    listener = (
        f"listener 0 127.0.0.1\nrequire_certificate true\ncafile {certificates.ca}\n"
        f"certfile {certificates.server}\nkeyfile {certificates.server_key}\nallow_anonymous true"
    )
    port = free_port()
    async with Mosquitto(listener.replace("listener 0", f"listener {port}")) as mosquitto:
        tls = Tls(certificates.ca, certificates.client, certificates.client_key)
        broker = Broker("localhost", port, tls=tls, client_id="secure")
        await meters(database, "100")
        async with intake_on(database) as intake, subscribed(broker, intake) as subscriber:
            await publish_all(mosquitto.url, [message("100", place, 100) for place in range(0, 20_000, 100)])
            await until(lambda: subscriber.counts.acknowledged == 200)
        assert await stored(database) == list(range(20_000))
        for wrong, told in (
            (Tls(), "check the CA"),
            (Tls(certificates.ca), "is our certificate one that the broker takes"),
            (None, "does this port want TLS"),
        ):
            with pytest.raises((Refused, Unreachable), match=told):
                await Connection(replace(broker, tls=wrong, patience=QUICK), FILTERS, lambda _, m: None).open()


def test_certificate_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    async def attempt() -> None:
        Connection(Broker("x", tls=Tls(tmp_path / "none.pem")), FILTERS, lambda _, messages: None)

    with pytest.raises(Misconfigured, match=r"none\.pem.*PEM"):
        asyncio.run(attempt())


async def test_certificates_being_replaced_end_no_process(certificates: Certificates, tmp_path: Path) -> None:
    """Whoever was connected tries on while the files make no pair, and has the new ones at the next connection."""
    port = free_port()
    listener = f"listener {port} 127.0.0.1\ncertfile {certificates.server}\nkeyfile {certificates.server_key}"
    own = tmp_path / "client.pem"
    own.write_bytes(certificates.client.read_bytes())
    broker = Broker("localhost", port, tls=Tls(certificates.ca, own, certificates.client_key), client_id="secure")
    async with (
        Mosquitto(f"{listener}\nallow_anonymous true") as mosquitto,
        subscribed(broker, HeldDoor(), grace=0.1) as subscriber,
        Spool(tmp_path / "spool.sqlite") as spool,
    ):
        forwarder = Forwarder(replace(broker, client_id="edge"), "tp-1", spool, Pace(0.1, 0.2))
        async with running(forwarder.run()) as forwarding:
            await until(forwarder.connected.is_set)
            own.write_text("half a file")
            await mosquitto.restart()
            await until(lambda: "client.pem" in subscriber.standing.trouble and not forwarder.connected.is_set())
            assert not forwarding.done()
            own.write_bytes(certificates.client.read_bytes())
            await until(lambda: subscriber.connected.is_set() and forwarder.connected.is_set(), 60)


async def test_a_broker_that_confirms_nothing_is_left_before_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "MOST_UNCONFIRMED", 3)
    async with scripted(5, b"\x90\x04\x00\x01\x00\x01") as (port, _):
        connection = Connection(Broker("127.0.0.1", port), FILTERS, lambda _, messages: None)
        await connection.open()
        waiting = [connection.publish("x", b"") for _ in range(4)]
        with pytest.raises(Unreachable, match="it confirms nothing, 3 of our messages wait"):
            raise await asyncio.wait_for(connection.lost, 10)
        assert all(one.cancelled() for one in waiting)


async def test_a_name_too_long_to_be_published_to_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto() as mosquitto, connected(Broker.from_url(mosquitto.url)) as connection:
        await asyncio.wait([lost := connection.publish("x" * 65_536, b"")])
        await asyncio.wait_for(connection.publish("x", b""), 10)
    assert lost.cancelled()
    assert "cannot be published to" in caplog.text


@pytest.mark.parametrize("version", [5, 4])
async def test_the_last_will_tells_that_we_died_and_a_clean_end_that_we_left(version: int) -> None:
    heard: list[Publish] = []
    async with Mosquitto() as mosquitto:
        watcher = Broker("127.0.0.1", mosquitto.port, client_id="watcher")
        watching = Connection(watcher, {"status/#": 1}, lambda _, messages: heard.extend(messages))
        await watching.open()
        broker = Broker("127.0.0.1", mosquitto.port, client_id="us", status_topic="status/us", version=version)
        async with connected(broker):
            await until(lambda: [one.payload for one in heard] == [b"online"])
        await until(lambda: [one.payload for one in heard] == [b"online", b"offline"])
        connection = Connection(broker, FILTERS, lambda _, messages: None)
        await connection.open()
        connection.abort(Unreachable("cable pulled"))
        await until(lambda: [one.payload for one in heard] == [b"online", b"offline", b"online", b"offline"])
        await watching.close()


async def test_a_broker_that_falls_silent_is_noticed_by_the_keep_alive() -> None:
    async with Mosquitto() as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, keepalive=timedelta(seconds=1), patience=QUICK)
        door = HeldDoor()
        async with subscribed(broker, door, grace=0.1) as subscriber:
            os.kill(mosquitto.pid, signal.SIGSTOP)
            try:
                await until(lambda: not subscriber.connected.is_set())
            finally:
                os.kill(mosquitto.pid, signal.SIGCONT)
            await asyncio.wait_for(subscriber.connected.wait(), 20)
            await publish_all(mosquitto.url, [message("100", 0)])
            await until(lambda: len(door.waiting) == 1)


async def test_two_clients_of_one_name_do_not_fight_for_it_at_full_speed(caplog: pytest.LogCaptureFixture) -> None:
    async with Mosquitto() as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, client_id="same")
        async with subscribed(broker, HeldDoor(), grace=0.1) as one, subscribed(broker, HeldDoor(), grace=0.1) as two:
            await until(lambda: "does another process use this client id" in caplog.text)
            assert one.counts.connections + two.counts.connections <= 8


async def test_ten_megabytes_arrive_and_are_one_reject(database: Database) -> None:
    await meters(database, "100")
    async with Mosquitto() as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port)
        async with intake_on(database) as intake, subscribed(broker, intake) as subscriber:
            huge = b'{"readings":[' + b" " * 10_000_000 + b"]}"
            await publish_all(mosquitto.url, [message("100", 0), huge, message("100", 1)])
            await until(lambda: subscriber.counts.acknowledged == 3)
    assert await stored(database) == [0, 1]
    rows = await fetch(database, "SELECT reason, length(raw) FROM quarantine")
    assert rows == [("too_large", len(huge))]
    assert len(huge) > LARGEST_PAYLOAD


async def test_the_embedded_broker_serves_mqtt_3(database: Database) -> None:
    """amqtt has no MQTT 5 and gives nothing again after an abrupt end: it is for the demo."""
    await meters(database, "100")
    async with EmbeddedBroker() as embedded:
        broker = Broker.from_url(embedded.url, version=4, client_id="demo")
        async with intake_on(database) as intake, subscribed(broker, intake) as subscriber:
            await publish_all(embedded.url, [message("100", place) for place in range(200)])
            await until(lambda: subscriber.counts.acknowledged == 200)
    assert await stored(database) == list(range(200))


# -- a broker that reads nothing for a while --------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def scripted(
    version: int, suback: bytes, then: bytes = b""
) -> AsyncIterator[tuple[int, asyncio.Future[asyncio.StreamReader]]]:
    """A broker that welcomes, answers SUBSCRIBE with `suback`, sends `then` and reads no more; its reader is given."""
    reading: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" if version == 5 else b"\x20\x02\x00\x00")
        await packet(reader)
        writer.write(suback + then)
        await writer.drain()
        reading.set_result(reader)
        await ended.wait()
        writer.transport.abort()
        left.set()

    ended, left = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        server.sockets[0].setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF: our writing must come to a stand
        try:
            yield server.sockets[0].getsockname()[1], reading
        finally:
            ended.set()
            await asyncio.wait_for(left.wait(), 5)


async def packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(2)
    size, shift, digits = head[1] & 0x7F, 7, head
    while digits[-1] & 0x80:
        digits += await reader.readexactly(1)
        size |= (digits[-1] & 0x7F) << shift
        shift += 7
    return digits + await reader.readexactly(size)


async def test_acknowledgements_and_other_packets_never_mix_when_the_broker_reads_slowly() -> None:
    """Both are queued against a full socket again and again; what arrives must be whole packets of each."""
    count, note = 40_000, b"n" * 1_000_000
    mids: list[int] = []
    sizes: list[int] = []
    async with scripted(5, b"\x90\x04\x00\x01\x00\x01") as (port, reading):
        connection = Connection(Broker("127.0.0.1", port), FILTERS, lambda _, messages: None)
        await connection.open()
        reader = await reading
        sent = 0
        while len(mids) < count or len(sizes) < 20:  # paho keeps 20 unacknowledged messages of its own
            if sent < count:
                connection.publish("t", note)
                connection.acknowledge(range(sent + 1, sent + 101))
                sent += 100
            one = await asyncio.wait_for(packet(reader), 10)
            if one[0] == 0x40:
                mids.append(int.from_bytes(one[2:], "big"))
            else:
                assert one[0] & 0xF0 == 0x30
                sizes.append(one.count(b"n"))
        assert mids == list(range(1, count + 1))
        assert set(sizes) == {len(note)}
        connection.abort(Unreachable("done"))


async def test_a_stream_that_is_no_mqtt_ends_the_connection_and_not_us() -> None:
    for nonsense in (
        b"\x30\xff\xff\xff\xff\xff",
        b"\xf5\x00",
        b"HTTP/1.1 400 Bad Request\r\n" * 9,
        b"\x32\x02\x00\x00",
    ):
        async with scripted(5, b"\x90\x04\x00\x01\x00\x01", nonsense) as (port, _):
            connection = Connection(Broker("127.0.0.1", port), FILTERS, lambda _, messages: None)
            with contextlib.suppress(AmrError):  # the nonsense may come in one piece with the answer before it
                await connection.open()
            await asyncio.wait_for(asyncio.shield(connection.lost), 10)
            connection.acknowledge([1])
            await connection.close()


async def test_an_error_in_the_receiver_ends_the_connection_loudly(caplog: pytest.LogCaptureFixture) -> None:
    def broken(connection: Connection, messages: list[Publish]) -> None:
        raise RuntimeError("a defect")

    async with scripted(5, b"\x90\x04\x00\x01\x00\x01", publish(b"t", b"x", 1)) as (port, _):
        connection = Connection(Broker("127.0.0.1", port), FILTERS, broken)
        await connection.open()
        error = await asyncio.wait_for(asyncio.shield(connection.lost), 10)
        assert isinstance(error.__cause__, RuntimeError)
    assert "a received packet broke us" in caplog.text
    assert length(1) == b"\x01"
