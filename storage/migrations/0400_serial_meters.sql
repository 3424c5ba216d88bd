-- What a session with a meter needs besides its address: password, level, the zone of its clock, impulses per kWh.
ALTER TABLE meter ADD COLUMN options jsonb NOT NULL DEFAULT '{}';

-- How far the meter's own clock was ahead of ours when it last told it, and when that was.
ALTER TABLE last_contact ADD COLUMN drift interval, ADD COLUMN drift_at timestamptz;

-- What stays missing of a meter after everything its memory has was asked for, and why. Written anew by each look at
-- the meter for the time it covers; what lies before that stays as it was found.
CREATE TABLE gap (
    meter_id   integer NOT NULL REFERENCES meter,
    what       text NOT NULL,           -- month or day: the registers as of since; profile or polls: [since, until)
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    why        text NOT NULL,           -- stable code: no_memory, too_old, not_kept
    found_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (meter_id, what, since),
    CHECK (until >= since)
);
