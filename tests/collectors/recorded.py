"""The recorded exchanges of real meters (tests/vectors), as bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

_FILE = Path(__file__).parents[1] / "vectors" / "serial_frames.json"
RECORDED: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))


class Exchange(NamedTuple):
    """What was asked, what came back, and what it means."""

    request: bytes
    reply: bytes
    means: Any


def exchanges(family: str) -> list[Exchange]:
    """The whole exchanges of a family: those recorded with both frames."""
    return [
        Exchange(bytes.fromhex(one["request"]), bytes.fromhex(one["reply"]), one.get("means"))
        for one in RECORDED[family]["frames"]
        if "reply" in one
    ]
