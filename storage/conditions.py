"""The conditions of a search: of what was asked for, and of nothing else.

`%(x)s IS NULL OR column = %(x)s` reads well and reads everything: a plan that is kept, as those of pages are, must hold
for both, and so no index serves it. A text for each choice has a plan for each.
"""

from __future__ import annotations

from collections.abc import Collection


def one_of(column: str, known: Collection[str], wanted: Collection[str]) -> str:
    """That a column holds one of a few `known` texts that are `wanted`, in words that a partial index may serve."""
    texts = ", ".join(f"'{one}'" for one in known if one in wanted)
    return f"{column} IN ({texts})" if texts else "false"


def conditions(*choices: tuple[object, str]) -> str:
    """The SQL of every choice whose value is there, all of which must hold; `true` when nothing was chosen."""
    return " AND ".join(condition for value, condition in choices if value is not None) or "true"
