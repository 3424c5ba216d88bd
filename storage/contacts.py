"""When a meter was last heard, as one row of SQL beside `meter m`.

A polled meter was tried, and answered or not: the collector writes that down. One behind a gateway was heard when its
newest reading came in; a gateway that polls tells of later tries that failed. Silence of more than three of its
periods, and more than a day, is a failure.
"""

from __future__ import annotations

from ingest.model import Source

OVERDUE = "overdue"
"""The failure of a meter whose gateway has brought nothing of it for too long."""

CONTACT = f"""LATERAL (
    SELECT tried_at, answered_at, failure, detail, failed_turns, drift, drift_at FROM last_contact
    WHERE meter_id = m.id AND m.gateway IS NULL
    UNION ALL
    SELECT latest.at, greatest(c.answered_at, heard.at),
        CASE WHEN latest.at < now() - greatest(3 * m.period, interval '1 day') THEN '{OVERDUE}' ELSE c.failure END,
        CASE WHEN latest.at < now() - greatest(3 * m.period, interval '1 day')
             THEN 'gateway ' || m.gateway || ' has brought nothing of it' ELSE c.detail END,
        coalesce(c.failed_turns, 0), c.drift, c.drift_at
    FROM (SELECT n.* FROM register g JOIN newest n ON n.register_id = g.id AND n.source = {int(Source.AUTOMATIC)}
          WHERE g.meter_id = m.id AND m.gateway IS NOT NULL ORDER BY n.taken_at DESC LIMIT 1) e
    CROSS JOIN LATERAL (SELECT received_at AS at FROM reading
          WHERE register_id = e.register_id AND source = e.source AND taken_at = e.taken_at LIMIT 1) heard
    LEFT JOIN last_contact c ON c.meter_id = m.id AND c.tried_at > heard.at
    CROSS JOIN LATERAL (SELECT coalesce(c.tried_at, heard.at) AS at) latest)"""
"""Columns tried_at, answered_at, failure, detail, failed_turns, and drift (how far the meter's clock was ahead of ours)
at drift_at, null where it was never told; at most one row. Join it with LEFT JOIN … ON."""
