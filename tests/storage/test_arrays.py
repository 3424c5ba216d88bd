"""Columns packed as arrays arrive as they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from storage.arrays import Bigints, Instants, Integers, Numbers, Smallints, Texts
from storage.database import Database
from storage.instants import micros_cursor


async def arrived(database: Database, column: Numbers | Texts) -> list[Any]:
    async with database.connection() as conn:
        found = await micros_cursor(conn).execute(
            "SELECT pg_typeof(%(a)s)::text, u FROM unnest(%(a)s) u", {"a": column}
        )
        rows = await found.fetchall()
    assert {kind for kind, _ in rows} <= {f"{_KINDS[type(column)]}[]"}
    return [value for _, value in rows]


_KINDS = {
    Smallints: "smallint", Integers: "integer", Bigints: "bigint", Instants: "timestamp with time zone", Texts: "text"
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "bits", "column"),
    [(Smallints, 15, [0, 1, -1, 258]), (Integers, 31, [0, 70_000, -70_000]), (Bigints, 63, [0, 5 << 40, -(5 << 40)])],
)
async def test_numbers(database: Database, kind: type[Numbers], bits: int, column: Sequence[int]) -> None:
    whole = [*column, 2**bits - 1, -(2**bits)] * 100
    assert await arrived(database, kind(whole)) == whole
    assert await arrived(database, kind([])) == []
    with pytest.raises(OverflowError):
        kind([2**bits])


async def test_instants_are_microseconds_since_1970(database: Database) -> None:
    instants = [0, 1, -1, 1_700_000_000_000_001]
    assert await arrived(database, Instants(instants)) == instants


async def test_texts_need_no_quoting(database: Database) -> None:
    texts = ["", "a", 'with "quotes", {braces} and \\', "NULL", "счётчик №7", "\n"]
    assert await arrived(database, Texts(texts)) == texts
