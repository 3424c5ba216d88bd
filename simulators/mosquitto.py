"""A real Mosquitto of one's own for tests: a free loopback port, a temporary folder, no trace left behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_ATTEMPTS = 3
# Its defaults drop QoS 1 messages beyond 1 000 queued and keep 20 under way; Nagle's delay costs ×20 with a window.
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_queued_messages 1000000
max_inflight_messages 65535
set_tcp_nodelay true
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
log_type notice
"""


class MosquittoMissingError(RuntimeError):
    """No Mosquitto on this machine."""


def find_mosquitto() -> str:
    """The path of the binary; Debian puts it where only root's PATH looks."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MosquittoMissingError("mosquitto was not found in PATH or /usr/sbin; remedy: apt-get install mosquitto")
    return found


class Mosquitto:
    """`async with Mosquitto() as broker: ... broker.url ...`. `extra` lines are added to its configuration."""

    def __init__(self, extra: str = "") -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self._extra = extra
        self.folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtt://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, with what an earlier run left in its folder, and wait until it accepts connections."""
        binary = find_mosquitto()
        if self.folder is not None:
            await self._spawn(binary)
            return
        try:
            await self._first_start(binary)
        except BaseException:
            await self._leave()
            raise

    async def _first_start(self, binary: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
        # Started as root it becomes the user "mosquitto", who must be able to keep its files here.
        self.folder.chmod(0o777)
        for attempt in range(_ATTEMPTS):
            self.port = _free_port()
            config = _CONFIG.format(port=self.port, folder=self.folder) + self._extra + "\n"
            (self.folder / "mosquitto.conf").write_text(config)
            try:
                await self._spawn(binary)
            except RuntimeError as error:
                # Between our look and its listening somebody else may have taken the port.
                if "in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    async def _spawn(self, binary: str) -> None:
        assert self.folder is not None
        self._process = await asyncio.create_subprocess_exec(
            binary,
            "-c",
            str(self.folder / "mosquitto.conf"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(self._accepting(), _START_SECONDS)

    async def stop(self) -> None:
        """Ask it to end (it saves its sessions)."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """kill -9: all that it has not saved is lost."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Stop and start on the same port, sessions kept."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        await self.stop()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)

    async def _accepting(self) -> None:
        assert self._process is not None
        while True:
            if self._process.returncode is not None:
                log = self._log()
                raise RuntimeError(f"mosquitto ended at once with code {self._process.returncode}: {log}")
            try:
                _, writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return

    def _log(self) -> str:
        file = self.folder / "mosquitto.log" if self.folder else None
        return file.read_text() if file and file.is_file() else "it left no log; is its configuration right?"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
