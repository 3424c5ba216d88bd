"""Who may do what in the database: two group roles without a login, granted anew at each migration.

Login roles are made members of them (docs/security.md). The role that migrates owns everything; it alone makes tokens.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import errors, sql

_log = logging.getLogger(__name__)

API, COLLECTOR = "amr_api", "amr_collector"

_ALL = "SELECT, INSERT, UPDATE, DELETE"
_WRITE = "INSERT, UPDATE, DELETE"

# What is taken back from all tables. The API writes neither tokens nor what is on record of its users. People are
# nothing to a collector: it sees no contracts, tokens and photos, and leaves the fleet as it is.
_WITHHELD = {
    API: {
        _WRITE: ("migration", "token", "retention"),
        "UPDATE, DELETE": ("audit",),
    },
    COLLECTOR: {
        "ALL": ("token", "contract", "audit", "idempotency", "photo", "service_request"),
        _WRITE: ("migration", "point", "line", "meter", "installation", "installation_reading"),
        "INSERT, DELETE": ("register",),
    },
}

# Retention takes photos away with their readings, and looks at none of them; and acts that are older than a year.
_ALLOWED = {
    API: (),
    COLLECTOR: (
        "GRANT DELETE, SELECT (id, meter_id, source, taken_at) ON photo TO {role}",
        "GRANT EXECUTE ON FUNCTION forget_audit(timestamptz, integer) TO {role}",
    ),
}

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('amr roles', 0))"
_KNOWN = "SELECT count(*) FROM pg_roles WHERE rolname = %s"


async def grant(conn: psycopg.AsyncConnection[Any]) -> bool:
    """Let the two roles do what is theirs in this schema, making them first where there are none.

    False, with a warning, where this user may not make roles: then everything runs as the owner. One transaction.
    """
    try:
        async with conn.transaction():
            await conn.execute(_LOCK)  # roles are the whole server's, and grants of two at once collide
            for role in (API, COLLECTOR):
                known = await (await conn.execute(_KNOWN, (role,))).fetchone()
                if known == (0,):
                    await conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                await _grant(conn, role)
    except errors.InsufficientPrivilege as error:
        _log.warning("the roles %s and %s are not made: %s", API, COLLECTOR, str(error).strip())
        return False
    return True


async def _grant(conn: psycopg.AsyncConnection[Any], role: str) -> None:
    schema = await (await conn.execute("SELECT current_schema()")).fetchone()
    assert schema
    names = {"schema": sql.Identifier(schema[0]), "role": sql.Identifier(role)}
    for text in (
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        f"GRANT {_ALL} ON ALL TABLES IN SCHEMA {{schema}} TO {{role}}",
    ):
        await conn.execute(sql.SQL(text).format(**names))
    for rights, tables in _WITHHELD[role].items():
        named = sql.SQL(", ").join(sql.Identifier(table) for table in tables)
        withheld = sql.SQL(f"REVOKE {rights} ON {{tables}} FROM {{role}}")
        await conn.execute(withheld.format(tables=named, role=sql.Identifier(role)))
    for allowed in _ALLOWED[role]:
        await conn.execute(sql.SQL(allowed).format(role=sql.Identifier(role)))
