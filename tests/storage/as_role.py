"""A database as a member of one of its roles sees it."""

from __future__ import annotations

from dataclasses import replace

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from storage.database import DatabaseSettings


def as_role(settings: DatabaseSettings, role: str) -> DatabaseSettings:
    """The same database, seen by a member of a role."""
    assert settings.url
    options = f"{conninfo_to_dict(settings.url).get('options') or ''} -crole={role}"
    return replace(settings, url=make_conninfo(settings.url, options=options))
