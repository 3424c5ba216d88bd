"""The page on security: what it tells to type works, and the tests it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from psycopg import errors

from storage.database import Database
from storage.roles import API, COLLECTOR

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
_MEMBER = "SELECT pg_has_role('amr_serve', %s, 'USAGE'), pg_has_role('amr_collect', %s, 'USAGE')"


def test_every_test_it_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


async def test_the_login_roles_are_made_as_it_says(database: Database) -> None:
    statements = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert statements
    async with database.own_connection() as conn, conn.transaction(force_rollback=True):
        for statement in filter(None, map(str.strip, statements[1].split(";"))):
            await conn.execute(statement.encode())
        assert await (await conn.execute(_MEMBER, (API, COLLECTOR))).fetchone() == (True, True)
        await conn.execute("SET LOCAL ROLE amr_collect")
        await conn.execute("SELECT count(*) FROM reading")
        with pytest.raises(errors.InsufficientPrivilege):
            await conn.execute("SELECT count(*) FROM contract")
