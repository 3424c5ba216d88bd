"""What a forwarding collector hears back: the names of its batches that are committed at the central ingest. Pure.

Topic `amr/v1/<gateway>/confirmed`, payload `{"ids": ["5f…", …]}`.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.exact import Unfit, read_json, shown, write_json


def confirmed_topic(gateway: str) -> str:
    """Where a gateway hears of its batches. A name from a topic has no wildcard; one from a format file might."""
    return f"amr/v1/{gateway.translate({ord('+'): '-', ord('#'): '-'})}/confirmed"


def confirmation(gateway: str, receipts: Sequence[str]) -> tuple[str, bytes]:
    """Topic and payload that tell a gateway which of its batches are committed."""
    return confirmed_topic(gateway), write_json({"ids": list(receipts)})


def read_confirmation(payload: bytes) -> list[str]:
    """The names of committed batches; Unfit when the message is none."""
    content = read_json(payload)
    ids = content.get("ids") if type(content) is dict else None
    if type(ids) is not list or not all(type(one) is str for one in ids):
        raise Unfit("malformed", f"{shown(content)} is no confirmation; is another service publishing there?")
    return ids
