-- What moved for a cabinet to show: each state of each reading request. Numbers are given under a lock that is held to
-- the commit, so that their order is that of the commits: whoever has seen number n has missed nothing before it.
CREATE TABLE cabinet_event (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind     text NOT NULL CHECK (kind IN ('reading_request', 'service_request')),
    number   bigint NOT NULL,           -- of the request
    point_id integer REFERENCES point,
    consumer text,                      -- whose it is; null: of staff
    state    text NOT NULL,
    reason   text                       -- a reading request's failure (stable code), the words of a refusal
);
CREATE INDEX cabinet_event_consumer ON cabinet_event (consumer, id);
CREATE INDEX cabinet_event_number ON cabinet_event (kind, number, id);
CREATE INDEX cabinet_event_at ON cabinet_event (at);

CREATE FUNCTION tell_cabinet(kind text, number bigint, point_id integer, consumer text, state text, reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    told bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('amr cabinet events ' || current_schema(), 0));
    INSERT INTO cabinet_event (kind, number, point_id, consumer, state, reason)
    VALUES (kind, number, point_id, consumer, state, reason) RETURNING id INTO told;
    PERFORM pg_notify('amr_cabinet', current_schema() || ' ' || told);
END $$;
