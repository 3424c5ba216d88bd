"""Prints the contract: `python -m api.contract > docs/openapi.json`. It needs no database.

Versioning: what only adds (an operation, an optional field, a code) raises the second number of `openapi.VERSION`.
Anything that could break a client that was right before goes to a new prefix, /api/v2, and both are served for a year.
"""

from __future__ import annotations

import json
import sys

from api.app import build
from api.context import ApiSettings


def contract() -> str:
    """The OpenAPI document as text that differs only where the contract does."""
    return json.dumps(build(ApiSettings()).openapi(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(contract())
