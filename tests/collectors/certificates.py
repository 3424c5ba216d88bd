"""Certificates for tests, made by openssl: a CA, a server for localhost, a client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """A CA of one's own and what it signed, valid for a day."""
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    _openssl("req", "-x509", *_new(ca_key), "-out", ca, "-days", "1", "-subj", "/CN=test authority")
    server, server_key = _signed(folder, "server", ca, ca_key, "subjectAltName=DNS:localhost,IP:127.0.0.1")
    client, client_key = _signed(folder, "client", ca, ca_key, "extendedKeyUsage=clientAuth")
    for path in folder.iterdir():
        path.chmod(0o644)  # Mosquitto reads them as another user
    return Certificates(ca, server, server_key, client, client_key)


def _signed(folder: Path, name: str, ca: Path, ca_key: Path, extension: str) -> tuple[Path, Path]:
    key, request, certificate = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    extensions = folder / f"{name}.ext"
    extensions.write_text(extension)
    _openssl("req", *_new(key), "-out", request, "-subj", f"/CN={name}")
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1",
        "-extfile", extensions, "-out", certificate,
    )  # fmt: skip
    return certificate, key


def _new(key: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
