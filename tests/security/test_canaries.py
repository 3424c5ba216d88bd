"""Secrets planted in every setting and option that may hold one: real processes show none of them to anybody."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from storage import tokens
from storage.database import Database, DatabaseSettings
from tests.collectors.serial_rig import QUICK, Rig
from tests.collectors.test_mqtt import free_port

# Six characters where a meter's password has six; none of them comes about by chance.
CANARIES = {
    name: f"KNR{number}zq"
    for number, name in enumerate(("database", "mqtt", "webhook", "mail", "forward", "mercury", "iec", "typed", "jwt"))
}
PATIENCE = 60
PROVIDER = {"AMR_JWT_ISSUER": "https://login.example", "AMR_JWT_JWKS_URL": "http://127.0.0.1:1/keys"}
"""An identity provider that is away."""


def seen(text: str, more: str = "") -> set[str]:
    """Which canaries are in a text, as they are or as digits of their bytes."""
    shown = text.lower()
    known = {**CANARIES, **({"token": more} if more else {})}
    return {
        name
        for name, secret in known.items()
        if any(form.lower() in shown for form in (secret, secret.encode().hex(), secret.encode().hex(" ")))
    }


def command_lines() -> str:
    """Every process of the machine, as `ps` shows it to everybody."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return "\n".join(found)


@dataclass
class Planted:
    """An environment with a secret wherever there may be one, and everything that was said in it."""

    environment: dict[str, str]
    folder: Path
    number: int = 0
    said: list[str] = field(default_factory=list)

    async def run(self, *words: str, **environment: str) -> str:
        """One verb to its end."""
        async with self.started(*words, **environment) as file:
            await until(file, "\0ended")
        return file.read_text(errors="replace")

    @contextlib.asynccontextmanager
    async def started(self, *words: str, **environment: str) -> AsyncIterator[Path]:
        """One process, whose output goes to the file; stopped by SIGTERM if it did not end by itself."""
        self.number += 1
        file = self.folder / f"{self.number}.txt"
        with file.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "amr", *words), env=self.environment | environment, stdout=out, stderr=out
            )
        ending = asyncio.create_task(self._mark(process, file))
        try:
            yield file
            self.said.append(command_lines())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await ending
            self.said.append(file.read_text(errors="replace"))

    @staticmethod
    async def _mark(process: asyncio.subprocess.Process, file: Path) -> None:
        await process.wait()
        with file.open("ab") as out:
            out.write(b"\0ended")


async def until(file: Path, *wanted: str) -> None:
    """The process has said all of this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while lacking(file, wanted) and "\0ended" not in file.read_text(errors="replace"):  # noqa: ASYNC110, ASYNC240
                await asyncio.sleep(0.05)
    assert lacking(file, wanted) == []


def lacking(file: Path, wanted: Sequence[str]) -> list[str]:
    """What a file does not have yet."""
    text = file.read_text(errors="replace")
    return [one for one in wanted if one not in text]


@pytest.fixture
def planted(database_settings: DatabaseSettings, tmp_path: Path) -> Planted:
    assert database_settings.url
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMR_")}
    return Planted(
        clean
        | {
            "AMR_DATABASE_URL": make_conninfo(database_settings.url, password=CANARIES["database"]),
            "AMR_DATA": str(tmp_path / "data"),
            "AMR_MQTT_URL": f"mqtts://amr:{CANARIES['mqtt']}@127.0.0.1:1",
            "AMR_ALERT_SMTP_URL": f"smtp://amr:{CANARIES['mail']}@127.0.0.1:1",
            "AMR_ALERT_FROM": "amr@example.org",
            "AMR_ALERT_TO": "shift@example.org",
            "AMR_ALERT_AFTER": "0",
            "AMR_ALERT_METER_AFTER": "0",
            "AMR_ALERT_DIGEST": "0",
            "AMR_LOG_LEVEL": "DEBUG",
            "COLUMNS": "300",
            "NO_COLOR": "1",
        },
        tmp_path,
    )


def fleet_text(address: str) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in QUICK.items())
    text = f'[[line]]\nname = "tp-7"\nkind = "serial-over-tcp"\naddress = "{address}"\noptions = {{{options}}}\n'
    for serial, model, at, secret in (
        ("47000999", "mercury-230", "5", CANARIES["mercury"]),
        ("141628345", "energomera-ce102m", "141628345", CANARIES["iec"]),
    ):
        text += (
            f'[[point]]\ncode = "P-{serial}"\nzone = "Europe/Samara"\n'
            f'[[meter]]\nserial = "{serial}"\nmodel = "{model}"\nline = "tp-7"\naddress = "{at}"\nperiod = "5s"\n'
            f'options = {{password = "{secret}"}}\n'
            f'[[installation]]\npoint = "P-{serial}"\nmeter = "{serial}"\nsince = 2026-01-01\n'
        )
    return text


@contextlib.asynccontextmanager
async def hook() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A receiver of alerts whose address is a secret."""
    called = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if CANARIES["webhook"].encode() in await reader.readuntil(b"\r\n\r\n"):
            called.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/services/{CANARIES['webhook']}", called


async def test_nobody_is_shown_a_secret(database: Database, planted: Planted) -> None:
    rig = Rig()
    rig.mercury230(5, passwords=(b"864209",))
    rig.iec_meter(password="864209")
    async with rig.line() as line, hook() as (address, called):
        planted.environment["AMR_ALERT_WEBHOOK"] = address
        file = planted.folder / "fleet.toml"
        file.write_text(fleet_text(line.address))
        broken = file.with_name("broken.toml")
        broken.write_text(fleet_text(line.address).replace("password =", "pasword ="))
        assert "47000999" in await planted.run("fleet", "apply", str(file))
        await asyncio.gather(collects(planted), mistakes(planted, broken))
        await asyncio.gather(reads_in_vain(planted, line.address), forwards(planted, file))
        await serves(planted, database, called)
        verbs = (("fleet", "export"), ("status",))
        exported = (await asyncio.gather(*(planted.run(*words) for words in verbs)))[0]
        assert exported.count('password = "***"') == 2
    assert seen("\n".join(planted.said)) == set()


async def collects(planted: Planted) -> None:
    async with planted.started("collect", PYTHONASYNCIODEBUG="1") as log:
        await until(log, "127.0.0.1:1", "none of 1 passwords", "refuses the password")


async def reads_in_vain(planted: Planted, address: str) -> None:
    where = ("--kind", "serial-over-tcp", "--address", address, "--unit", "5")
    said = await planted.run("meter", "read", "--model", "mercury-230", *where, AMR_METER_PASSWORD=CANARIES["typed"])
    assert "none of 1 passwords" in said


async def mistakes(planted: Planted, broken: Path) -> None:
    """A wrong setting beside good ones, an address that cannot be read, an option misspelled."""
    tries: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("serve",), {"AMR_HTTP_PORT": "eighty"}),
        (("migrate",), {"AMR_DATABASE_URL": f"postgresql//u:{CANARIES['database']}@h"}),
        (("fleet", "apply", str(broken)), {}),
    ]
    for said in await asyncio.gather(*(planted.run(*words, **wrong) for words, wrong in tries)):
        assert "misconfigured" in said


async def forwards(planted: Planted, file: Path) -> None:
    forward = {"AMR_FORWARD": f"mqtt://tp-1:{CANARIES['forward']}@127.0.0.1:1", "AMR_FLEET": str(file)}
    async with planted.started("collect", AMR_LOG_FORMAT="json", **forward) as log:
        await until(log, "127.0.0.1:1", "none of 1 passwords")
    for line in log.read_text().partition("\0")[0].splitlines():
        assert isinstance(json.loads(line), dict), "each line is JSON"


async def serves(planted: Planted, database: Database, called: asyncio.Event) -> None:
    async with database.connection() as conn:
        token = await tokens.create(conn, "staff", "admin")
    port, metrics = free_port(), free_port()
    async with planted.started("serve", AMR_HTTP_PORT=str(port), AMR_METRICS_PORT=str(metrics), **PROVIDER) as log:
        await until(log, "serving http", "an alert was not delivered")
        async with asyncio.timeout(PATIENCE):
            await called.wait()
        answers = await everything(f"http://127.0.0.1:{port}", token)
        planted.said += [*answers, await metrics_page(f"http://127.0.0.1:{metrics}/metrics")]
    assert seen("\n".join(planted.said), token) == set()


async def metrics_page(url: str) -> str:
    async with httpx.AsyncClient() as client:
        page = (await client.get(url)).text
    assert "amr_" in page
    return page


async def everything(base: str, token: str) -> list[str]:
    """What every page answers that needs no more than the names of a point, a line, a meter."""
    known = {"code": "P-47000999", "serial": "47000999", "name": "tp-7", "id": "1"}
    answers = []
    head = base64.urlsafe_b64encode(b'{"alg": "RS256", "kid": "k", "typ": "JWT"}').decode()
    forged = {"Authorization": f"Bearer {head}.e30.{CANARIES['jwt']}"}
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        for path, operations in paths.items():
            if "get" in operations and "events" not in path:
                for name, value in known.items():
                    path = path.replace(f"{{{name}}}", value)
                answers.append((await client.get(path)).text)
        answers.append((await client.get("/api/v1/points", headers=forged)).text)
    assert sum("47000999" in one for one in answers) > 3
    return answers


def test_a_canary_is_found_however_it_is_written() -> None:
    secret = CANARIES["mercury"]
    assert len(secret) == 6
    assert seen(f"[05 01 01 {secret.encode().hex(' ')} a1]") == {"mercury"}
    assert seen(f"password={secret.lower()}") == {"mercury"}
    assert seen("amr_x y", "amr_x") == {"token"}
