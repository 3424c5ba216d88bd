"""The broker's settings and rules that we ship, with the paths, the port and the users of a test."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("listener", "password_file", "acl_file", "persistence_location")


@contextmanager
def shipped_settings(*users: str) -> Iterator[str]:
    """Lines for a `Mosquitto`: our mosquitto.conf and its example of rules; every user's password is `secret`."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        passwords, rules = folder / "passwords", folder / "acl"
        passwords.touch()
        for user in users:
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, "secret"], check=True, timeout=10)
        rules.write_text((ROOT / "deploy/mosquitto.acl.example").read_text())
        for file in (passwords, rules):
            file.chmod(0o644)
        lines = (ROOT / "deploy/mosquitto.conf").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(OURS)]
        yield "\n".join([*kept, f"password_file {passwords}", f"acl_file {rules}"])
