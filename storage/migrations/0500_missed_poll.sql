-- Why a slot of a schedule holds no reading: stretches of attempts that brought none, one row a stretch and cause.
-- A slot without a reading and without a row here was not asked for at all: no collector ran.
CREATE TABLE missed_poll (
    meter_id integer NOT NULL REFERENCES meter,
    failure  text NOT NULL,                 -- stable code: timeout, line_down, spool_full, ...
    since    timestamptz NOT NULL,          -- the first attempt of the stretch
    until    timestamptz NOT NULL,          -- and the last
    detail   text,                          -- of the last
    PRIMARY KEY (meter_id, failure, since),
    CHECK (since <= until)
);

-- A collector that is alone on its lines goes on polling while the database is away: until then nobody may take its
-- lines over. Null: it falls silent by itself, as one with a standby does.
ALTER TABLE collector ADD COLUMN keeps_until timestamptz, ADD COLUMN lines text[] NOT NULL DEFAULT '{}';
