"""What is asked of one meter, point, gateway or consumer reads a handful of rows, however big the fleet is.

Counted by PostgreSQL itself, under the plans that pages keep and under those made anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ingest.calendar_cuts import Step
from ingest.delivery import Contact
from ingest.model import Source
from ingest.silence import Roads, silences
from storage import (
    attachments,
    audit,
    beside,
    browse,
    cabinet_events,
    cards,
    completeness,
    corrections,
    events,
    fleet,
    fleet_history,
    fleet_stored,
    gaps,
    history,
    measuring_points,
    missed,
    points,
    power_quality,
    quarantine,
    request_limits,
    request_states,
    requests,
    service_requests,
    several,
    silence,
    statistics,
)
from storage.database import Database
from storage.fleet_model import Mentioned

SIZE = 2_000
LINES = 40
MOST = 500
"""Rows of a table that one call may read: pages of a hundred with what is beside them, never the fleet."""

NOW = datetime.now(UTC)
YEAR = (NOW - timedelta(days=365), NOW)
TODAY = NOW.date()

# Half of the meters are on lines of 25, the others behind gateways of 25; each point has one contract and one of each.
_FLEET = f"""
INSERT INTO point (code, zone, official_code)
    SELECT 'p' || n, 'Europe/Samara', 'o' || n FROM generate_series(1, {SIZE}) n;
INSERT INTO line (name, kind, address) SELECT 'l' || n, 'modbus-tcp', '10.0.0.' || n FROM generate_series(1, {LINES}) n;
INSERT INTO meter (serial, model, line_id, address, gateway, verified_until)
    SELECT 'm' || n, 'model-' || n % 8, CASE WHEN n <= {SIZE // 2} THEN 1 + (n - 1) / 25 END,
        CASE WHEN n <= {SIZE // 2} THEN n::text END, CASE WHEN n > {SIZE // 2} THEN 'g' || n / 25 END, '2031-01-01'
    FROM generate_series(1, {SIZE}) n;
INSERT INTO register (meter_id, channel, digits, decimals)
    SELECT id, unnest(ARRAY['1.8.0', '32.7.0']), 6, 2 FROM meter ORDER BY 1;
INSERT INTO installation (point_id, meter_id, since) SELECT id, id, '2020-01-01Z' FROM point;
INSERT INTO installation_reading (installation_id, register_id, opening)
    SELECT i.id, r.id, 0 FROM installation i JOIN register r USING (meter_id);
INSERT INTO contract (consumer, point_id, since)
    SELECT CASE WHEN id > {SIZE // 2} THEN 'housing' ELSE 'c' || id END, id, '2020-01-01Z' FROM point;
INSERT INTO last_contact (meter_id, tried_at, answered_at) SELECT id, now(), now() FROM meter WHERE gateway IS NULL;
INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons)
    SELECT id, s, now() - n * interval '1 day', now(), 5000000, 0, 0
    FROM register, generate_series(0, 3) n, unnest(ARRAY[2, 5]) s;
INSERT INTO newest (register_id, source, taken_at, value, calm) SELECT id, 2, now(), 5000000, true FROM register;
INSERT INTO series (register_id, source) SELECT id, unnest(ARRAY[2, 5]) FROM register;
INSERT INTO entry (register_id, source, taken_at, author, entered_at) SELECT id, 5, now(), 'c', now() FROM register;
INSERT INTO superseded_reading (register_id, source, taken_at, value, quality, reasons, received_at)
    SELECT id, 5, now(), 1, 0, 0, now() FROM register;
INSERT INTO photo (point_id, meter_id, source, taken_at, author, media_type, width, height, digest, content)
    SELECT id, id, 5, now(), 'c', 'image/png', 1, 1, sha256(code::bytea), '' FROM point;
INSERT INTO gap (meter_id, what, since, until, why) SELECT id, 'polls', '2026-01-01Z', '2026-01-02Z', 'x' FROM meter;
INSERT INTO missed_poll (meter_id, failure, since, until)
    SELECT id, 'timeout', now() - interval '1 day', now() FROM meter;
INSERT INTO completeness (day, point_id, expected, received) SELECT current_date - 1, id, 48, 48 FROM point;
INSERT INTO event (kind, point_id, meter_id) SELECT 'zone_sum', id, id FROM point;
INSERT INTO audit (actor, role, operation, point, status) SELECT 'a' || id % 9, 'admin', 'x', code, 200 FROM point;
INSERT INTO quarantine (digest, origin, reason, detail, raw, meter, channel)
    SELECT sha256(code::bytea), 'mqtt:' || code, 'unknown_meter', '', '', 'x' || id, '1.8.0' FROM point;
ALTER TABLE reading_request DISABLE TRIGGER USER;
ALTER TABLE service_request DISABLE TRIGGER USER;
INSERT INTO reading_request (meter_id, point_id, asked_by, state, finished_at)
    SELECT id, id, 'consumer:c' || id, CASE WHEN id % 2 = 0 THEN 'manual' ELSE 'done' END,
        CASE WHEN id % 2 = 1 THEN now() END FROM point;
INSERT INTO service_request (point_id, kind, state, consumer, opened_by, finished_at)
    SELECT id, 'maintenance', 'done', 'c' || id, 'c', now() FROM point;
ALTER TABLE reading_request ENABLE TRIGGER USER;
ALTER TABLE service_request ENABLE TRIGGER USER;
INSERT INTO cabinet_event (kind, number, point_id, consumer, state)
    SELECT 'reading_request', id, id, 'c' || id, 'done' FROM point;
"""
_READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
WHERE schemaname = current_schema()
"""

Conn = psycopg.AsyncConnection[Any]
SOME = [f"p{n}" for n in range(1000, 1030)]
NONE: frozenset[str] = frozenset()

ASKS: Mapping[str, Callable[[Conn], Awaitable[object]]] = {
    "a point": lambda c: points.find(c, "p77", None),
    "a consumer's point": lambda c: points.find(c, "p77", "c77"),
    "points": lambda c: points.page(c, None, after="p2", limit=100),
    "a consumer's points": lambda c: points.page(c, "c77", after="", limit=100),
    "what stands there": lambda c: points.standing(c, "p77", NOW),
    "channels": lambda c: points.channels(c, "p77", *YEAR),
    "latest": lambda c: history.latest(c, "p77"),
    "latest of some": lambda c: history.latest_of(c, SOME),
    "readings": lambda c: history.page(c, "p77", channel=None, since=YEAR[0], until=NOW, limit=100, after=None),
    "statistics": lambda c: statistics.point_statistics(c, "p77", now=NOW),
    "months": lambda c: statistics.months(c, "p77", "1.8.0", *YEAR, now=NOW),
    "a report": lambda c: several.consumption_of_points(
        c, SOME[:5], "1.8.0", date(2026, 1, 1), date(2026, 3, 1), Step.MONTH
    ),
    "corrections": lambda c: corrections.page(c, "p77", [YEAR], before=2**62, limit=100),
    "photos": lambda c: attachments.page(c, "p77", [YEAR], before=2**62, limit=100),
    "an entry's authors": lambda c: attachments.entry_authors(c, "m77", Source.CONSUMER, NOW),
    "momentary registers": lambda c: power_quality.standing(c, "p77", *YEAR),
    "meters": lambda c: browse.meters(c, after="m2"),
    "a line's meters": lambda c: browse.meters(c, line="l7"),
    "a gateway's meters": lambda c: browse.meters(c, gateway="g70"),
    "a meter": lambda c: browse.meter(c, "m77"),
    "a line": lambda c: browse.lines(c, name="l7"),
    "who stood there": lambda c: browse.stays(c, "p77"),
    "a stored line": lambda c: fleet_stored.load(c, Mentioned(frozenset({"l7"}), NONE, NONE)),
    "whether a meter was read": lambda c: fleet_history.channels_with_readings(c, ["m77"]),
    "what a gateway may deliver": lambda c: fleet.gateway_meters(c, "g70"),
    "cards": lambda c: cards.find_cards(c, {("m77", "1.8.0")}),
    "a meter's events": lambda c: events.find(c, meter="m77"),
    "acts at a point": lambda c: audit.find(c, since=YEAR[0], until=NOW, point="p77"),
    "a point's gaps": lambda c: gaps.missing(c, "p77"),
    "a meter's missed polls": lambda c: missed.missing(c, "m77", NOW - timedelta(days=2), NOW),
    "a point's completeness": lambda c: completeness.count(
        c, ["p77"], TODAY - timedelta(days=30), TODAY + timedelta(days=1), NOW
    ),
    "a consumer's moves": lambda c: cabinet_events.page(
        c, consumer="nobody", point=None, kind=None, before=2**62, limit=100
    ),
    "a point's moves": lambda c: cabinet_events.page(c, consumer=None, point="p77", kind=None, before=2**62, limit=100),
    "a request": lambda c: requests.status(c, 77),
    "what is asked at a point": lambda c: requests.find(c, point="p77"),
    "what somebody asked": lambda c: requests.find(c, asked_by="consumer:nobody"),
    "what waits for a collector": lambda c: requests.find(c, states=["queued"]),
    "asking": lambda c: requests.ask(c, "consumer:c1900", point="p1900"),
    "what a collector takes": lambda c: request_states.take(c, [f"l{n}" for n in range(LINES)], "x"),
    "what was asked today": lambda c: request_limits.free_at(c, "consumer:c77", 5),
    "a consumer's wishes": lambda c: service_requests.page(
        c, consumer="nobody", point=None, kind=None, states=None, before=2**62, limit=100
    ),
    "wishes at a point": lambda c: service_requests.page(
        c, consumer=None, point="p77", kind=None, states=None, before=2**62, limit=100
    ),
    "wishes in hand": lambda c: service_requests.page(
        c, consumer=None, point=None, kind=None, states=["in_progress"], before=2**62, limit=100
    ),
    "a meter's pieces": lambda c: quarantine.find(c, quarantine.Which(meter="x77")),
    "official codes": lambda c: measuring_points.stays(c, ["o77", "p78"], *YEAR),
    "an attempt": lambda c: beside.contacts(c, [Contact("m77", NOW, "timeout", "no answer")]),
}


@pytest.fixture
async def region(database: Database) -> Database:
    """Two thousand points with all that lies about each, known to the planner."""
    async with database.connection() as conn:
        await conn.execute(_FLEET.encode())
    async with database.own_connection() as conn:
        await conn.execute("VACUUM ANALYZE")
    return database


async def read(conn: Conn) -> dict[str, int]:
    return dict(await (await conn.execute(_READ, prepare=False)).fetchall())


async def test_nothing_about_one_reads_the_fleet(region: Database, subtests: pytest.Subtests) -> None:
    for mode in ("force_generic_plan", "force_custom_plan"):
        for name, ask in ASKS.items():
            with subtests.test(asks=name, mode=mode):
                async with region.connection() as conn:
                    await conn.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
                    # Two thousand rows are soon read in passing. A region's are a hundred times as many.
                    await conn.execute("SET LOCAL enable_seqscan = off")
                    await ask(conn)
                    before = await read(conn)
                    await ask(conn)
                    after = await read(conn)
                    rows = {table: after[table] - before.get(table, 0) for table in after}
                    assert {table: count for table, count in rows.items() if count > MOST} == {}
                    await conn.rollback()


async def test_a_collector_of_one_line_reads_what_it_polls(region: Database) -> None:
    async with region.connection() as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")
        before = await read(conn)
        [line] = await fleet.polled_lines(conn, lambda name: name == "l7")
        assert len(line.meters) == 25
        after = await read(conn)
    assert {table: after[table] - before.get(table, 0) for table in ("meter", "installation", "point")} == {
        "meter": 25,
        "installation": 25,
        "point": 25,
    }


async def test_a_sound_region_is_told_by_a_witness_for_each_line_and_gateway(region: Database) -> None:
    async with region.connection() as conn:
        count, known = await silence.heard(conn)
        assert count == SIZE
        assert len(known) == len({one.via for one in known}) < SIZE / 20
        await conn.execute("UPDATE last_contact SET failure = 'timeout' WHERE meter_id BETWEEN 26 AND 51")
        _, known = await silence.heard(conn)
        [line, meter] = silences(known, Roads(True, True, {}), NOW)
        assert (line.place, len(line.meters), meter.place) == ("l2", 25, "m51")


async def test_completeness_of_a_region_is_counted_in_slices(region: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "SLICE", 750)
    assert await completeness.recount(region, NOW)
    async with region.connection() as conn:
        counted = await completeness.of_day(conn, TODAY - timedelta(days=2))
    assert (counted.points, counted.lacking) == (SIZE, SIZE)
