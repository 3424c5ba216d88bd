"""`simulate` as a process: it says where it listens, answers there, and ends on Ctrl-C."""

import asyncio
import re
import signal
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from simulators.cli import app

ROOT = Path(__file__).parents[2]
STREET = (
    '[[line]]\nname = "tcp"\nkind = "modbus-tcp"\n[[meter]]\nserial = "1"\nmodel = "abb-b23"\nline = "tcp"\nunit = 1\n'
)


async def test_it_runs_until_ctrl_c(tmp_path: Path) -> None:
    file = tmp_path / "street.toml"
    file.write_text(STREET)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from simulators.cli import app; app()",
        str(file),
        "--speed=60",
        "--start=2026-11-20T00:00:00+04:00",
        f"--fleet={tmp_path / 'fleet.toml'}",
        "--period=1h",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(30):
        while "Ctrl-C" not in said:
            line = await process.stdout.readline()
            assert line, "it ended before it was ready"
            said += line.decode()
    port = re.search(r"127\.0\.0\.1:(\d+)", said)
    assert port is not None
    fleet = tomllib.loads((tmp_path / "fleet.toml").read_text(encoding="utf-8"))
    assert fleet["line"] == [{"name": "tcp", "kind": "modbus-tcp", "address": port[0]}]
    assert [(one["serial"], one["address"], one["period"]) for one in fleet["meter"]] == [("1", "1", "1h")]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port[1]))
    writer.write(bytes.fromhex("0001 0000 0006 01 03 5000 0004"))
    assert len(await asyncio.wait_for(reader.readexactly(17), 10)) == 17
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    writer.close()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "street.toml"
    file.write_text("speed = 1")
    for arguments, complaint in [
        ([str(file)], "unknown key 'speed'"),
        ([str(tmp_path / "no.toml")], "cannot be read"),
        (["--mqtt-url", "tcp://x"], "tcp://x"),
        (["--start", "2026-11-20T00:00:00"], "no time zone"),
        (["--start", "yesterday"], "for --start: 'yesterday' is no time; write it like 2026-11-20T00:00:00+04:00"),
        (["--speed", "-1"], "for --speed: factor -1"),
        (["--every", "soon"], "for --every: 'soon' is no duration"),
        (["--period", "soon"], "for --period: 'soon' is no duration"),
    ]:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert complaint in " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())
