"""The ceilings of reading: for each question one bare statement that fetches the rows it needs; nothing is computed."""

from __future__ import annotations

CHANNELS = ["1.8.0", "1.8.1", "1.8.2", "2.8.0", "3.8.0"]

_REGISTERS = """
point p JOIN installation i ON i.point_id = p.id JOIN register r ON r.meter_id = i.meter_id
"""

LATEST = f"""
SELECT p.code, r.channel, x.taken_at, x.value, x.quality FROM {_REGISTERS}
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading WHERE register_id = r.id AND source = 2 AND quality <> 2
        AND taken_at >= i.since AND taken_at >= %(since)s AND taken_at < %(until)s
    ORDER BY taken_at DESC LIMIT 1) x
WHERE p.code = ANY(%(points)s)
"""

RANGE = f"""
SELECT x.taken_at, x.value, x.quality FROM {_REGISTERS}
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading WHERE register_id = r.id AND source = 2
        AND taken_at >= %(since)s AND taken_at < %(until)s
    ORDER BY taken_at) x
WHERE p.code = %(point)s AND r.channel = '1.8.0'
LIMIT %(limit)s
"""

# The readings beside each cut as they were set aside: there is no cheaper way to these rows.
MIDNIGHTS = f"""
SELECT p.code, r.channel, m.cut, m.before_at, m.before_value, m.before_quality, m.after_at, m.after_value,
       m.after_quality
FROM {_REGISTERS}
JOIN midnight m ON m.register_id = r.id AND m.source = 2 AND m.cut = ANY(%(cuts)s)
    AND m.cut >= %(first)s AND m.cut <= %(last)s
WHERE p.code = ANY(%(points)s) AND r.channel = ANY(%(channels)s)
"""
