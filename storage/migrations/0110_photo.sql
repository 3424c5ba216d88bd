-- Photos of displays, each beside what was typed in from it: one entry is one meter, source and instant. In the database
-- and in a table of their own: access, backup and the transaction are the reading's, and its write path never meets them.
CREATE TABLE photo (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id   integer NOT NULL REFERENCES point,
    meter_id   integer NOT NULL REFERENCES meter,
    source     smallint NOT NULL,
    taken_at   timestamptz NOT NULL,            -- of the entry
    added_at   timestamptz NOT NULL DEFAULT now(),
    author     text NOT NULL,
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png')),
    width      integer NOT NULL,
    height     integer NOT NULL,
    digest     bytea NOT NULL,                  -- SHA-256 of the content: the same photo again is the same row
    content    bytea NOT NULL,
    UNIQUE (meter_id, source, taken_at, digest)
);
ALTER TABLE photo ALTER COLUMN content SET STORAGE EXTERNAL;   -- compressed already
CREATE INDEX photo_point ON photo (point_id, id);
