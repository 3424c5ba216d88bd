"""A serial port behind a converter that speaks RFC 2217: telnet with commands for speed, parity and stop bits.

Between the TCP connection and a `Wire`: what belongs to telnet is taken out of what comes and put into what goes.
Source: RFC 2217 (COM-PORT-OPTION), RFC 854 to 858.
"""

from __future__ import annotations

import asyncio
from typing import cast

from collectors.port_settings import PortSettings
from collectors.telnet import BINARY, COM_PORT, DO, DONT, GO_AHEAD, IAC, SB, SE, WILL, WONT, Negotiation, Telnet

SET_BAUD, SET_SIZE, SET_PARITY, SET_STOP, PURGE = 1, 2, 3, 4, 12
ANSWER = 100
"""What the converter's answer to a command is numbered higher."""

_PARITY = {"N": 1, "O": 2, "E": 3}
_OURS = (BINARY, GO_AHEAD, COM_PORT)
_THEIRS = (BINARY, GO_AHEAD)


class Rfc2217(asyncio.Protocol):
    """The TCP side. `ready` is done when the converter has taken all settings."""

    def __init__(self, wire: asyncio.Protocol, settings: PortSettings) -> None:
        self._wire = wire
        self._settings = settings
        self._telnet = Telnet()
        self._awaited = {ANSWER + code for code in (SET_BAUD, SET_SIZE, SET_PARITY, SET_STOP)}
        self._asked = False
        self._tcp: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.port = RemotePort(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tcp = cast("asyncio.Transport", transport)
        for option in _OURS:
            self.send(bytes((IAC, WILL, option)))
        for option in _THEIRS:
            self.send(bytes((IAC, DO, option)))
        self._wire.connection_made(self.port)

    def data_received(self, data: bytes) -> None:
        plain = bytearray()
        for piece in self._telnet.hear(data):
            if isinstance(piece, bytes):
                plain += piece
            else:
                self._negotiate(piece)
        if plain:
            self._wire.data_received(bytes(plain))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            lost = ConnectionResetError("the converter hung up while it was being set")
            lost.__cause__ = exc
            self.ready.set_exception(lost)
        self._tcp = None
        self._wire.connection_lost(exc)

    def send(self, raw: bytes) -> None:
        """Bytes of telnet as they are."""
        if self._tcp is not None:
            self._tcp.write(raw)

    def command(self, code: int, value: bytes) -> None:
        """One command of the port."""
        self.send(bytes((IAC, SB, COM_PORT, code)) + value.replace(b"\xff", b"\xff\xff") + bytes((IAC, SE)))

    @property
    def tcp(self) -> asyncio.Transport | None:
        """The connection, None when it is gone."""
        return self._tcp

    def _negotiate(self, said: Negotiation) -> None:
        if said.verb == SB:
            self._answered(said)
        elif said.verb == DO and said.option == COM_PORT:
            self._set_all()
        elif said.verb == DONT and said.option == COM_PORT:
            self._fail("it does not speak RFC 2217; take kind serial-over-tcp")
        elif said.verb == DO and said.option not in _OURS:
            self.send(bytes((IAC, WONT, said.option)))
        elif said.verb == WILL and said.option not in _THEIRS:
            self.send(bytes((IAC, DONT, said.option)))

    def _set_all(self) -> None:
        if self._asked:
            return
        self._asked = True
        settings = self._settings
        self.command(SET_BAUD, settings.baud.to_bytes(4, "big"))
        self.command(SET_SIZE, bytes((settings.data_bits,)))
        self.command(SET_PARITY, bytes((_PARITY[settings.parity],)))
        self.command(SET_STOP, bytes((settings.stop_bits,)))

    def _answered(self, said: Negotiation) -> None:
        if said.option != COM_PORT or not said.data:
            return
        code, value = said.data[0], said.data[1:]
        if code == ANSWER + SET_BAUD and code in self._awaited and value != self._settings.baud.to_bytes(4, "big"):
            self._fail(f"it keeps to {int.from_bytes(value, 'big')} baud, not {self._settings.baud}")
            return
        self._awaited.discard(code)
        if not self._awaited and not self.ready.done():
            self.ready.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(OSError(f"the converter refuses: {why}"))


class RemotePort(asyncio.Transport):
    """What a `Wire` writes to."""

    def __init__(self, side: Rfc2217) -> None:
        super().__init__()
        self._side = side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._side.send(bytes(data).replace(b"\xff", b"\xff\xff"))

    def is_closing(self) -> bool:
        return self._side.tcp is None or self._side.tcp.is_closing()

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._side.tcp is not None:
            self._side.tcp.abort()

    def set_speed(self, baud: int) -> None:
        """Change the speed of the far port."""
        self._side.command(SET_BAUD, baud.to_bytes(4, "big"))


async def open_remote(host: str, port: int, settings: PortSettings, wire: asyncio.Protocol) -> RemotePort:
    """Connect and set the far port. OSError says what the converter refused; the caller limits the time."""
    _, side = await asyncio.get_running_loop().create_connection(lambda: Rfc2217(wire, settings), host, port)
    try:
        await side.ready
    except BaseException:
        side.port.abort()
        raise
    return side.port
