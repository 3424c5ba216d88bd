"""The parts of the soak: real processes on one machine, with a proxy on every way between two of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

import amr
from bench import soak_power
from bench.soak_watch import Watched
from simulators.clock import Clock
from simulators.mosquitto import Mosquitto
from simulators.proxy import Proxy
from simulators.street import RunningStreet, Street
from simulators.street_fleet import HISTORY_POINT, fleet_text
from storage import fleet, tokens
from storage.database import Database, DatabaseSettings, open_database
from storage.embedded import embedded_server
from storage.migrate import migrate
from storage.postgres_process import server_pid

ROOT = Path(__file__).parents[1]
PERIOD = timedelta(seconds=2)
STOP_WITHIN = 10.0
POINT = HISTORY_POINT


@dataclass(frozen=True, slots=True)
class Size:
    """How much is metered: polled meters on lines, and meters behind concentrators."""

    lines: int = 4
    meters: int = 24
    gateways: int = 5
    pushed: int = 28

    def scaled(self, share: float) -> Size:
        """As many lines and gateways, with a share of the meters."""
        return replace(self, meters=max(1, int(self.meters * share)), pushed=max(1, int(self.pushed * share)))

    def street(self) -> str:
        """The street's file. Starts far apart, so that no meter's value can be another's."""
        parts = []
        for line in range(self.lines):
            parts.append(f'[[line]]\nname = "line-{line}"\nkind = "modbus-tcp"\nport = 0\n')
            parts += [
                f'[[meter]]\nserial = "51{line:02}{n:04}"\nmodel = "{("eastron-sdm630", "abb-b23")[n % 2]}"\n'
                f'line = "line-{line}"\nunit = {n + 1}\nstart = "{1000 * line + 40 * n}.5"\nscale = "40"\n'
                for n in range(self.meters)
            ]
        parts += [
            f'[[meter]]\nserial = "52{gateway:02}{n:04}"\ngateway = "gw-{gateway}"\nstart = "{90 * n + gateway}.25"\n'
            f'scale = "40"\n'
            for gateway in range(self.gateways)
            for n in range(self.pushed)
        ]
        return "\n".join(parts)


@dataclass
class Part:
    """One process of ours: started, killed, frozen, stopped, and when."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ends: list[datetime] = field(default_factory=list)
    """When it was made to end, by kill or by SIGTERM."""
    slow_stops: list[float] = field(default_factory=list)
    crashes: int = 0
    """How often it ended by itself: never, if all is well."""
    wanted: bool = True
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self) -> None:
        """Begin a new process; its output goes to the end of the log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.soak_part", *self.command],
                cwd=ROOT, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def watch(self) -> None:
        """Start it again when it ends by itself, as a service manager would; until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            if self._moving.locked() or self.process is None or self.process.poll() is None:
                continue
            self.ends.append(datetime.now(UTC))
            self.crashes += 1
            self.start()

    def send(self, number: signal.Signals) -> None:
        """A signal, if it lives."""
        if self.process is not None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self.ends.append(datetime.now(UTC))
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        await self._gone()

    async def terminate(self) -> float:
        """SIGTERM; gives the seconds it took to end."""
        begun = time.monotonic()
        self.ends.append(datetime.now(UTC))
        self.send(signal.SIGTERM)
        await self._gone()
        took = time.monotonic() - begun
        if took > STOP_WITHIN:
            self.slow_stops.append(took)
        return took

    async def _gone(self) -> None:
        if self.process is not None:
            await asyncio.to_thread(self.process.wait, 60)
            self.process = None

    def memory(self) -> float:
        """MB resident."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) if self.process else 0
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class House:
    """Everything that runs."""

    folder: Path
    street: RunningStreet
    watched: Watched
    broker: Mosquitto
    database: Database
    cluster: Path
    proxies: dict[str, Proxy]
    parts: dict[str, Part]
    clock_file: Path
    base: str
    token: str
    disk: Path
    small_disk: bool
    """Whether the spool has a disk of its own, which can be filled."""

    def power_cut(self) -> None:
        """What the collector's disk holds after one; call it when the collector is dead."""
        soak_power.cut(self.disk / "1", self.folder / "synced")

    def postmaster(self) -> int | None:
        return server_pid(self.cluster)

    def backends(self) -> list[int]:
        """The database server and all its children."""
        parent = self.postmaster()
        return [] if parent is None else [parent, *_children(parent)]

    def fill_disk(self) -> bool:
        """Leave no room on the collector's disk; False when it has none of its own."""
        if not self.small_disk:
            return False
        with contextlib.suppress(OSError), (self.disk / "fill").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return True

    def empty_disk(self) -> None:
        (self.disk / "fill").unlink(missing_ok=True)


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        return [int(pid) for pid in path.read_text().split()]
    except OSError:
        return []


@contextlib.asynccontextmanager
async def house(size: Size, *, plant: str | None = None, watched: Watched) -> AsyncIterator[House]:
    """Everything started; ended and removed at the end, whatever happened."""
    async with contextlib.AsyncExitStack() as stack:
        folder = _new_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        disk, small = stack.enter_context(_small_disk(folder / "spool"))
        dsn = await stack.enter_async_context(embedded_server(folder / "data"))
        database = await stack.enter_async_context(open_database(DatabaseSettings(dsn, folder)))
        await migrate(database)
        broker = await stack.enter_async_context(Mosquitto("autosave_interval 5"))
        running = await stack.enter_async_context(Street(size.street()).start(Clock()))
        watched.follow(running)
        socket_path = str(Path(str(conninfo_to_dict(dsn)["host"])) / ".s.PGSQL.5432")
        proxies = await _proxies(stack, socket_path, broker, running)
        token = await _fleet(database, running, proxies)
        port = _free_port()
        clock_file = folder / "clock"
        clock_file.write_text("0")
        parts = _parts(folder, dsn, proxies, port, clock_file, disk, plant)
        cluster = next(path.parent for path in (folder / "data").rglob("postmaster.pid"))
        for part in parts.values():
            part.start()
            stack.push_async_callback(_end, part)
        yield House(
            folder, running, watched, broker, database, cluster, proxies, parts, clock_file,
            f"http://127.0.0.1:{port}", token, disk, small,
        )  # fmt: skip


def _new_folder() -> Path:
    """One that PostgreSQL's own account can reach when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="amr-soak-", dir="/var/tmp"))
    folder.chmod(0o755)
    for name in ("data", "home", "synced"):
        (folder / name).mkdir()
    return folder


async def _end(part: Part) -> None:
    part.wanted = False
    if part.process is not None and part.process.poll() is None:
        await part.kill()


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """A disk of 24 MB of its own where we may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


async def _proxies(
    stack: contextlib.AsyncExitStack, socket_path: str, broker: Mosquitto, running: RunningStreet
) -> dict[str, Proxy]:
    proxies = {name: Proxy(socket_path) for name in ("collector-database", "ingest-database", "api-database")}
    proxies |= {name: Proxy(broker.host, broker.port) for name in ("ingest-broker", "gateways-broker")}
    for name, address in running.addresses().items():
        host, _, port = address.rpartition(":")
        proxies[name] = Proxy(host, int(port))
    for proxy in proxies.values():
        await stack.enter_async_context(proxy)
    return proxies


async def _fleet(database: Database, running: RunningStreet, proxies: Mapping[str, Proxy]) -> str:
    """The street's fleet as stored, asked through the proxies; gives an operator's token."""
    text = fleet_text(running.spec, datetime.now(UTC), period=f"{PERIOD.total_seconds():.0f}s")
    for name in running.addresses():  # in the order of the lines
        text = text.replace("127.0.0.1:0", f"127.0.0.1:{proxies[name].port}", 1)
    settings = amr.Settings()
    async with database.connection() as conn:
        await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
        return await tokens.create(conn, "soak", "operator")


def _parts(
    folder: Path, dsn: str, proxies: Mapping[str, Proxy], port: int, clock: Path, disk: Path, plant: str | None
) -> dict[str, Part]:
    def through(name: str) -> str:
        return make_conninfo(dsn, host="127.0.0.1", port=proxies[name].port)

    common = {"AMR_DATA": str(folder / "home"), "AMR_LOG_LEVEL": "INFO"}
    broker = {
        **common,
        "AMR_DATABASE_URL": through("ingest-database"),
        "AMR_LINES": "none",
        "AMR_MQTT_URL": f"mqtt://127.0.0.1:{proxies['ingest-broker'].port}",
        "AMR_MQTT_GROUP": "soak",
        "AMR_MQTT_TRY_OUT": "false",
    }
    if plant == "early-ack":
        broker["SOAK_PLANT"] = plant
    collector = {
        **common,
        "AMR_DATABASE_URL": through("collector-database"),
        "AMR_SPOOL": str(disk),
        "AMR_SPOOL_MB": "16",
        "AMR_COLLECTOR_NAME": "soak",
        "SOAK_CLOCK": str(clock),
        "SOAK_POWER": f"{disk / '1'}:{folder / 'synced'}",
    }
    if plant == "no-fsync":
        collector["SOAK_PLANT"] = plant
    api = {**common, "AMR_DATABASE_URL": through("api-database"), "AMR_HTTP_PORT": str(port)}
    workers = {
        name: {**broker, "AMR_MQTT_CLIENT_ID": name, "AMR_COLLECTOR_NAME": name, "AMR_SPOOL": str(folder / name)}
        for name in ("ingest-1", "ingest-2")
    }
    return {
        "collector": Part("collector", ["collect"], collector, folder / "collector.log"),
        **{name: Part(name, ["collect"], settings, folder / f"{name}.log") for name, settings in workers.items()},
        "api": Part("api", ["serve"], api, folder / "api.log"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
