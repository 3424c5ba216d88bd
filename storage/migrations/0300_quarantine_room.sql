-- How full the quarantine is and may become. Counted by triggers, so that it is right whoever inserts or deletes.
CREATE TABLE quarantine_room (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    rows       bigint NOT NULL,
    bytes      bigint NOT NULL,                    -- of what came, raw
    most_rows  bigint NOT NULL DEFAULT 500000 CHECK (most_rows > 0),
    most_bytes bigint NOT NULL DEFAULT 1073741824 CHECK (most_bytes > 0),
    level      smallint NOT NULL DEFAULT 0         -- what was last told: 0 there is room, 1 it fills up, 2 it is full
) WITH (fillfactor = 10);
INSERT INTO quarantine_room (rows, bytes) SELECT count(*), coalesce(sum(octet_length(raw)), 0) FROM quarantine;

CREATE FUNCTION quarantine_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    size bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE quarantine_room SET rows = 0, bytes = 0;
        RETURN NULL;
    END IF;
    SELECT count(*), coalesce(sum(octet_length(raw)), 0) INTO n, size FROM touched;
    IF n > 0 THEN
        IF TG_OP = 'DELETE' THEN
            n := -n;
            size := -size;
        END IF;
        UPDATE quarantine_room SET rows = rows + n, bytes = bytes + size;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER quarantine_grew AFTER INSERT ON quarantine
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION quarantine_counted();
CREATE TRIGGER quarantine_shrank AFTER DELETE ON quarantine
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION quarantine_counted();
CREATE TRIGGER quarantine_emptied AFTER TRUNCATE ON quarantine
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_counted();

-- What came while the quarantine was full: not kept, but never without a trace.
CREATE TABLE quarantine_unkept (
    road        text NOT NULL,        -- what stands before the colon of the origin: mqtt, modbus, import, api
    reason      text NOT NULL,
    times       bigint NOT NULL,
    bytes       bigint NOT NULL,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    last_origin text NOT NULL,
    last_detail text NOT NULL,
    PRIMARY KEY (road, reason)
);

CREATE INDEX quarantine_meter ON quarantine (meter, channel, last_at) WHERE meter IS NOT NULL;
