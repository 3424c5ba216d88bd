"""What the running leaves behind goes after its time, and nothing that proves a bill goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import errors

from storage import forgetting
from storage.database import Database, DatabaseSettings, open_database
from storage.policy import StoragePolicy
from storage.retention import retain
from storage.roles import API, COLLECTOR
from tests.storage.as_role import as_role

NOW = datetime.now(UTC)
POLICY = StoragePolicy()

# Of everything two: one that is a day older than is kept of it, and one that is a day younger.
_FILL = """
INSERT INTO point (code, zone) VALUES ('p', 'Europe/Samara');
INSERT INTO meter (serial, model) VALUES ('m', 'x');
INSERT INTO register (meter_id, channel, decimals) SELECT id, '1.8.0', 2 FROM meter;
INSERT INTO installation (point_id, meter_id, since) SELECT p.id, m.id, '2010-01-01Z' FROM point p, meter m;
CREATE TEMP TABLE age AS SELECT now() - days * interval '1 day' AS at, days FROM unnest(ARRAY[{ages}]) AS days;
INSERT INTO missed_poll (meter_id, failure, since, until)
    SELECT m.id, 'timeout', at - interval '1 hour', at FROM meter m, age;
INSERT INTO gap (meter_id, what, since, until, why)
    SELECT m.id, what, at - interval '1 hour', at, 'too_old' FROM meter m, age, unnest(ARRAY['polls', 'month']) AS what;
INSERT INTO rejudgement (register_id, source, taken_at, old_quality, old_reasons, new_quality, new_reasons)
    SELECT r.id, 2, at, 0, 0, 2, 2 FROM register r, age;
INSERT INTO event (at, kind, meter_id)
    SELECT at, kind, m.id FROM meter m, age, unnest(ARRAY['zone_sum', 'exchange']) AS kind;
INSERT INTO completeness (day, point_id, expected, received) SELECT at::date, p.id, 48, 48 FROM point p, age;
INSERT INTO reading_request (meter_id, asked_at, asked_by, state, finished_at, failure)
    SELECT m.id, at, 'c', 'failed', at, 'timeout' FROM meter m, age;
INSERT INTO reading_request (meter_id, asked_at, asked_by, state) SELECT m.id, at, 'c', 'manual' FROM meter m, age;
UPDATE cabinet_event e SET at = asked_at FROM reading_request r WHERE r.id = e.number;
INSERT INTO audit (at, actor, role, operation, status) SELECT at, 'egor', 'engineer', 'x', 200 FROM age;
INSERT INTO superseded_reading (register_id, source, taken_at, value, quality, reasons, received_at)
    SELECT r.id, 5, at, 1, 0, 0, at FROM register r, age;
INSERT INTO entry (register_id, source, taken_at, entered_at) SELECT r.id, 5, at, at FROM register r, age;
INSERT INTO discontinuity (register_id, source, taken_at) SELECT r.id, 2, at FROM register r, age;
INSERT INTO service_request (point_id, kind, state, opened_by, submitted_at, finished_at)
    SELECT p.id, 'maintenance', 'done', 'c', at, at FROM point p, age;
INSERT INTO contract (consumer, point_id, since) SELECT 'c', p.id, at FROM point p, age;
DROP TABLE age;
"""
_AGES = """
SELECT kind, (array_agg(days ORDER BY days)) FROM (
    SELECT 'missed_poll' AS kind, extract(day FROM now() - until)::int AS days FROM missed_poll
    UNION ALL SELECT 'gap ' || what, extract(day FROM now() - until)::int FROM gap
    UNION ALL SELECT 'rejudgement', extract(day FROM now() - taken_at)::int FROM rejudgement
    UNION ALL SELECT 'event ' || kind, extract(day FROM now() - at)::int FROM event
    UNION ALL SELECT 'completeness', (now()::date - day) FROM completeness
    UNION ALL SELECT 'reading_request ' || state, extract(day FROM now() - asked_at)::int FROM reading_request
    UNION ALL SELECT 'cabinet_event ' || kind, extract(day FROM now() - at)::int FROM cabinet_event
        WHERE kind = 'reading_request'
    UNION ALL SELECT 'audit', extract(day FROM now() - at)::int FROM audit
    UNION ALL SELECT 'superseded_reading', extract(day FROM now() - taken_at)::int FROM superseded_reading
    UNION ALL SELECT 'entry', extract(day FROM now() - taken_at)::int FROM entry
    UNION ALL SELECT 'discontinuity', extract(day FROM now() - taken_at)::int FROM discontinuity
    UNION ALL SELECT 'service_request', extract(day FROM now() - submitted_at)::int FROM service_request
    UNION ALL SELECT 'contract', extract(day FROM now() - since)::int FROM contract) x
GROUP BY kind
"""
AGES = [100, 399, 401, 1277, 1279, 1826, 1828]
YOUNG, READ, ASKED = AGES[:2], AGES[:4], AGES[:6]


@pytest.fixture
async def aged(database: Database) -> Database:
    async with database.connection() as conn:
        await conn.execute(_FILL.format(ages=", ".join(map(str, AGES))).encode(), prepare=False)
    return database


async def ages(database: Database) -> Mapping[str, list[int]]:
    """Days ago of what is left, by table."""
    async with database.connection() as conn:
        return dict(await (await conn.execute(_AGES)).fetchall())


async def test_each_table_keeps_what_it_is_worth(aged: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "SLICE", 2)
    done = await retain(aged, POLICY, NOW)
    assert done is not None
    left = await ages(aged)
    assert {kind: found for kind, found in left.items() if found != AGES} == {
        "missed_poll": READ,
        "gap polls": READ,
        "rejudgement": READ,
        "event zone_sum": READ,
        "completeness": YOUNG,
        "reading_request failed": YOUNG,
        "cabinet_event reading_request": sorted(YOUNG * 2),
        "audit": ASKED,
    }
    stays = {"gap month", "event exchange", "reading_request manual", "superseded_reading", "entry", "contract"}
    assert {*stays, "discontinuity", "service_request"} <= {kind for kind, found in left.items() if found == AGES}
    assert done.forgotten["completeness"] == 5
    assert "5 of completeness" in str(done)


async def test_a_second_run_forgets_nothing(aged: Database) -> None:
    await retain(aged, POLICY, NOW)
    again = await retain(aged, POLICY, NOW)
    assert again is not None
    assert again.forgotten == {}


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        (StoragePolicy(keep=None), {"completeness", "reading_request", "cabinet_event"}),
        (StoragePolicy(notes=None), {"missed_poll", "gap", "rejudgement", "event", "audit"}),
        (replace(POLICY, keep=None, notes=None), set()),
        (replace(POLICY, keep=timedelta(days=3000), notes=None), set()),
    ],
)
async def test_what_is_kept_for_ever_is(aged: Database, policy: StoragePolicy, gone: set[str]) -> None:
    done = await retain(aged, policy, NOW)
    assert done is not None
    assert done.forgotten.keys() == gone


@pytest.mark.parametrize(
    ("keep", "audit", "kept"),
    [(1278, 1827, 1827), (1278, 30, 1278), (30, 1, 366), (30, 0, None), (0, 1827, None), (4000, 1827, 4000)],
)
def test_who_asked_what_outlives_the_readings(keep: int, audit: int, kept: int | None) -> None:
    keep_for, audit_for = (timedelta(days=days) if days else None for days in (keep, audit))
    found = StoragePolicy(keep=keep_for, audit=audit_for).audit_kept
    assert found == (None if kept is None else timedelta(days=kept))


async def test_a_collector_forgets_old_acts_and_no_young_ones(
    aged: Database, database_settings: DatabaseSettings
) -> None:
    async with open_database(as_role(database_settings, COLLECTOR)) as theirs:
        done = await retain(theirs, POLICY, NOW)
        assert done is not None
        assert done.forgotten["audit"] == 1
        async with theirs.own_connection() as conn:
            with pytest.raises(errors.RaiseException, match="younger than a year"):
                await conn.execute("SELECT forget_audit(now() - interval '300 days', 10)")
            await conn.execute("CREATE TEMP TABLE audit (id int)")
            row = await (await conn.execute("SELECT forget_audit(now() - interval '1800 days', 10)")).fetchone()
            assert row == (1,), "a table of the same name is not looked into"
    async with open_database(as_role(database_settings, API)) as theirs, theirs.own_connection() as conn:
        with pytest.raises(errors.InsufficientPrivilege):
            await conn.execute("SELECT forget_audit(now() - interval '1800 days', 10)")
