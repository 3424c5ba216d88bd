-- What the processes say of themselves, every few seconds: whoever fell silent is seen by the age of its row.
CREATE TABLE process (
    role       text NOT NULL,              -- collector, subscriber, api
    name       text NOT NULL,              -- the host's, or the session's at the broker
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    state      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (role, name)
);

-- How much of each finished day came: the slots of the schedule that hold a reading, of those that should.
CREATE TABLE completeness (
    day      date NOT NULL,                -- of the point's own zone
    point_id integer NOT NULL REFERENCES point ON DELETE CASCADE,
    expected integer NOT NULL CHECK (expected > 0),
    received integer NOT NULL CHECK (received BETWEEN 0 AND expected),
    PRIMARY KEY (day, point_id)
);

-- What people were told of, so that it is told once, also after a restart.
CREATE TABLE alert (
    key        text PRIMARY KEY,           -- 'line:tp-101', 'meter:123', 'quarantine'
    level      text NOT NULL,
    cause      text NOT NULL,
    detail     text NOT NULL,
    since      timestamptz NOT NULL,       -- when it was first noticed
    seen_at    timestamptz NOT NULL,       -- when it was last true
    raised_at  timestamptz,                -- it stood long enough to be told
    told_at    timestamptz,                -- and was told
    cleared_at timestamptz                 -- and ended, which is still to be told
);

ALTER TABLE meter ADD COLUMN verified_until date;  -- the last day of its verification ("поверка")
