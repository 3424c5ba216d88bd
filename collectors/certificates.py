"""When the certificates this process uses end: soon enough to be told before the broker refuses them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from ingest.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Expiry:
    """The first of a file's certificates to end, and when."""

    file: str
    until: datetime


def expiries(files: Iterable[Path | None]) -> list[Expiry]:
    """For each PEM file that is configured. Misconfigured names one that cannot be read."""
    found = []
    for file in files:
        if file is None:
            continue
        try:
            certificates = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError) as error:
            raise Misconfigured(f"certificate {file}: {error}; give a PEM file with certificates") from error
        found.append(Expiry(str(file), min(one.not_valid_after_utc for one in certificates)))
    return found
