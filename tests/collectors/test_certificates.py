"""Dates of certificates: of real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.certificates import expiries
from ingest.errors import Misconfigured
from tests.collectors.certificates import make_certificates


def test_the_first_to_end_of_each_file(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made.ca.read_bytes() + made.client.read_bytes())
    ca, chain = expiries([made.ca, None, both])
    assert (ca.file, chain.file) == (str(made.ca), str(both))
    assert chain.until == min(expiries([made.ca])[0].until, expiries([made.client])[0].until)
    assert timedelta(0) < ca.until - datetime.now(UTC) <= timedelta(days=1)


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "bad.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"bad\.pem.*give a PEM file"):
        expiries([file])
