-- Which sources ever gave readings of a register: so that nobody looks for what is not there, in every chunk of a long
-- history. Written when a series begins and when something arrives behind its end. Up to `midnights_until` every local
-- midnight was looked at, up to `midnights_to` some may be remembered in `midnight`.
CREATE TABLE series (
    register_id     integer NOT NULL,
    source          smallint NOT NULL,
    midnights_until timestamptz NOT NULL DEFAULT '1900-01-01 00:00+00',
    midnights_to    timestamptz NOT NULL DEFAULT '1900-01-01 00:00+00',
    PRIMARY KEY (register_id, source)
) WITH (fillfactor = 70);

-- The same for load profiles.
CREATE TABLE profile_series (
    register_id integer NOT NULL,
    source      smallint NOT NULL,
    PRIMARY KEY (register_id, source)
);

INSERT INTO series (register_id, source)
SELECT r.id, s.id::smallint FROM register r CROSS JOIN generate_series(1, 6) AS s(id)
WHERE EXISTS (SELECT FROM reading WHERE register_id = r.id AND source = s.id);

INSERT INTO profile_series (register_id, source)
SELECT r.id, s.id::smallint FROM register r CROSS JOIN generate_series(1, 6) AS s(id)
WHERE EXISTS (SELECT FROM interval_reading WHERE register_id = r.id AND source = s.id);

-- For local midnights of a register's point: the nearest believed readings at or before and at or after, not more than
-- two days apart. Selected from `reading` by a job, and taken back when something arrives between them.
CREATE TABLE midnight (
    register_id    integer NOT NULL,
    source         smallint NOT NULL,
    cut            timestamptz NOT NULL,
    before_at      timestamptz NOT NULL,
    after_at       timestamptz NOT NULL,
    before_value   bigint NOT NULL,
    after_value    bigint NOT NULL,
    before_quality smallint NOT NULL,
    after_quality  smallint NOT NULL,
    PRIMARY KEY (register_id, source, cut)
);
