"""A serial port as an asyncio transport: a `Wire` stands on it as on a TCP connection. The only pyserial import."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from pathlib import Path

import serial  # type: ignore[import-untyped]
from serial.tools import list_ports  # type: ignore[import-untyped]

from collectors.link import NotSettable
from collectors.port_settings import PortSettings

_CHUNK = 4096
_IN_USE = (errno.EAGAIN, errno.EBUSY)


class SerialTransport(asyncio.Transport):
    """Bytes to and from a port. A port that goes away (an adapter is unplugged) is a lost connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, port: serial.Serial) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._port = port
        self._fd = port.fileno()
        self._waiting = b""
        self._closing = False
        protocol.connection_made(self)
        loop.add_reader(self._fd, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        self._waiting += bytes(data)
        self._flush()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def set_speed(self, baud: int) -> None:
        """Change the speed of an open port (IEC 62056-21 agrees on one after the greeting)."""
        try:
            self._port.baudrate = baud
        except (termios.error, ValueError) as error:
            raise NotSettable(f"serial port {self._port.port} cannot be set to {baud} baud: {error}") from error

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._end(OSError("the port gives nothing more; was the adapter unplugged?"))

    def _flush(self) -> None:
        try:
            sent = os.write(self._fd, self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(error)
            return
        had_to_wait, self._waiting = bool(self._waiting[sent:]), self._waiting[sent:]
        if had_to_wait:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._port.close()
        self._loop.call_soon(self._protocol.connection_lost, error)


async def open_port(settings: PortSettings, protocol: asyncio.Protocol) -> SerialTransport:
    """Open a port for this process alone.

    Raises OSError whose text says why it cannot be had, and the remedy; NotSettable when it is there, but not so.
    """
    loop = asyncio.get_running_loop()
    try:
        port = await loop.run_in_executor(None, _open, settings)
    except termios.error as error:
        wanted = f"{settings.baud} {settings.data_bits}{settings.parity}{settings.stop_bits}"
        said = f"serial port {settings.device} cannot be set to {wanted}: {error.args[-1]}"
        raise NotSettable(f"{said}; take another speed or parity, or another adapter") from error
    except (serial.SerialException, ValueError) as error:
        raise OSError(_why(settings.device, error)) from error
    return SerialTransport(loop, protocol, port)


def _why(device: str, error: serial.SerialException | ValueError) -> str:
    """What is wrong with a port, and what to do about it."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return f"there is no such serial port; {_ports()}"
    if number == errno.EACCES:
        return (
            f"this user may not open it, the group {_group(device)} may: `sudo usermod -aG {_group(device)} USER`, "
            "then log in anew"
        )
    if number in _IN_USE:
        return f"another program has it open; `fuser -v {device}` names it"
    if "Could not configure port" in str(error):
        return f"it is no serial port, or its adapter cannot do this speed; {_ports()}"
    return f"{error}; check its name and settings"


def _ports() -> str:
    """The ports of this machine."""
    found = [
        port.device + (f" ({port.description})" if port.description != "n/a" else "")
        for port in sorted(list_ports.comports())
    ]
    if not found:
        return "this machine has none: is the adapter plugged in? `dmesg | tail` names it then"
    return f"this machine has {', '.join(found)}; names that stay are under /dev/serial/by-id"


def _is_pseudo(device: str) -> bool:
    return os.path.realpath(device).startswith("/dev/pts/")


def _group(device: str) -> str:
    """Who may open a port."""
    try:
        return Path(device).group()
    except (OSError, KeyError):
        return "dialout"


def _open(settings: PortSettings) -> serial.Serial:
    # a pseudo-terminal (a simulator's, socat's) has no parity and no bits: Linux refuses to set them a second time
    bits, parity = (8, "N") if _is_pseudo(settings.device) else (settings.data_bits, settings.parity)
    return serial.Serial(
        settings.device,
        baudrate=settings.baud,
        bytesize=bits,
        parity=parity,
        stopbits=settings.stop_bits,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )
