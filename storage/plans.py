"""Plans kept for the statements of a page: planning its look-ups anew costs several times what running them does."""

from __future__ import annotations

from typing import Any

import psycopg


async def keep_plans(conn: psycopg.AsyncConnection[Any]) -> None:
    """Let prepared statements run by their generic plans until this transaction ends.

    Right for look-ups by the key, whose best plan does not depend on what is looked up. Not for writing batches: there
    the length of the arrays matters.
    """
    await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
