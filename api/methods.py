"""Which methods an address serves: the framework alone names those of the first route it tried."""

from __future__ import annotations

import re
from typing import Any


def methods_at(document: dict[str, Any], path: str) -> list[str]:
    """The methods served at an address, as the contract has them."""
    found = {
        method.upper()
        for template, methods in document["paths"].items()
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
        for method in methods
    }
    return sorted(found)
