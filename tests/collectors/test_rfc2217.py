"""A port behind an RFC 2217 converter: pyserial's own server side before a pseudo-terminal with simulated meters."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import serial  # type: ignore[import-untyped]
import serial.rfc2217  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from collectors.link import LineDown
from collectors.serial_link import SerialLink
from collectors.telnet import COM_PORT, DO, IAC, SB, SE, WILL, Negotiation, Telnet
from ingest.model import Line
from simulators.serial_line import SerialLine
from tests.collectors.serial_rig import CATALOG, QUICK, Rig, polled, truth


class NoModem(serial.Serial):  # type: ignore[misc]
    """A pseudo-terminal has no modem lines; the server asks for them."""

    cts = dsr = ri = cd = property(lambda _: True)


class Converter:
    """One client at a time, as small converters have it. Runs in a thread of its own."""

    def __init__(self, path: str) -> None:
        self._port = NoModem(path, timeout=0.01)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        self.number = self._listening.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()
        self._port.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            with client:
                self._connection(client)

    def _connection(self, client: socket.socket) -> None:
        client.settimeout(0.005)
        manager = serial.rfc2217.PortManager(self._port, _Sender(client.sendall))
        while not self._over.is_set():
            try:
                data = client.recv(1024)
                if not data:
                    return
                self._port.write(b"".join(manager.filter(data)))
            except TimeoutError:
                pass
            except OSError:
                return
            if waiting := self._port.in_waiting:
                client.sendall(b"".join(manager.escape(self._port.read(waiting))))


class _Sender:
    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.write = send


@asynccontextmanager
async def behind(rig: Rig, baud: int, **options: object) -> AsyncIterator[SerialLink]:
    """A link through a converter to the rig's meters."""
    async with SerialLine(rig.station(baud), baud=baud) as pty:
        converter = await asyncio.to_thread(Converter, pty.path)
        line = Line(
            "tp-7", "rfc2217", f"127.0.0.1:{converter.number}", {**QUICK, "timeout": 0.6, "baud": baud, **options}
        )
        link = SerialLink(line, CATALOG, rig.clock.now)
        try:
            await link.open()
            yield link
        finally:
            await link.close()
            await asyncio.to_thread(converter.stop)


async def test_meters_behind_a_converter_at_the_speed_we_ask_for() -> None:
    rig = Rig()
    one, single = rig.mercury230(), rig.mercury206("4294967280")
    async with behind(rig, 19200) as link:
        assert (await link.read(polled("mercury-230", "47000999", "5"))).values["1.8.0"] == truth(one)["1.8.0"]
        # An address full of FF: every byte of it is doubled on the way and single again at its end.
        answer = await link.read(polled("mercury-206", "4294967280", "4294967280"))
        assert answer.values["1.8.1"] == truth(single)["1.8.1"]


async def test_a_greeting_changes_the_speed_of_the_far_port() -> None:
    rig = Rig()
    one = rig.iec_meter(speed=9600)
    async with behind(rig, 2400, late=0.0, timeout=1.0) as link:
        for _ in range(2):
            answer = await link.read(polled("energomera-ce102m", "141628345", "141628345"))
            assert answer.values["1.8.0"] == truth(one)["1.8.0"]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (bytes((IAC, 254, COM_PORT)), "does not speak RFC 2217; take kind serial-over-tcp"),
        (b"", "took no connection within 0.2 s"),
        (None, "hung up while it was being set"),
        (
            bytes((IAC, DO, COM_PORT, IAC, SB, COM_PORT, 101, 0, 0, 0x12, 0xC0, IAC, SE)),
            "keeps to 4800 baud, not 9600",
        ),
    ],
)
async def test_a_converter_that_does_not_is_named(says: bytes | None, told: str) -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            if says is not None:
                writer.write(says)
                await reader.read(-1)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = SerialLink(Line("tp-7", "rfc2217", f"127.0.0.1:{port}", {**QUICK, "connect_timeout": 0.2}), CATALOG)
    with pytest.raises(LineDown, match=told):
        await link.open()
    async with asyncio.timeout(5):
        await over.wait()
    server.close()
    await server.wait_closed()


STREAM = (
    b"ab\xff\xffc" + bytes((IAC, WILL, 1)) + b"d" + bytes((IAC, SB, COM_PORT, 101, 0, 0, 0xFF, 0xFF, IAC, SE)) + b"e"
)
PIECES = [Negotiation(WILL, 1), Negotiation(SB, COM_PORT, bytes((101, 0, 0, 0xFF)))]


@given(st.lists(st.integers(1, 6), max_size=30))
def test_telnet_in_any_pieces(sizes: list[int]) -> None:
    telnet, rest, found = Telnet(), STREAM, []
    for size in [*sizes, len(STREAM)]:
        found += telnet.hear(rest[:size])
        rest = rest[size:]
    assert b"".join(one for one in found if isinstance(one, bytes)) == b"ab\xffcde"
    assert [one for one in found if isinstance(one, Negotiation)] == PIECES


@given(st.binary(max_size=700))
def test_no_stream_breaks_telnet(data: bytes) -> None:
    telnet = Telnet()
    telnet.hear(data)
    telnet.hear(bytes((IAC, SE)) + data)
