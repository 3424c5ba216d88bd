-- What consumers ask to have done about meters, and how far staff are with it. Nothing beyond meters.
CREATE TABLE service_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id     integer NOT NULL REFERENCES point,
    kind         text NOT NULL
        CHECK (kind IN ('admission', 'installation', 'replacement', 'maintenance', 'equipment')),
    state        text NOT NULL DEFAULT 'submitted' CHECK (state IN ('submitted', 'in_progress', 'done', 'refused')),
    consumer     text,                  -- whose it is; null: of the company's own accord
    opened_by    text NOT NULL,         -- the consumer, or whoever of the staff
    note         text,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    moved_by     text,                  -- whoever of the staff moved it last
    reason       text,                  -- of a refusal, for the consumer to read
    CHECK ((state IN ('done', 'refused')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'refused') = (reason IS NOT NULL))
);
CREATE INDEX service_request_consumer ON service_request (consumer, id);
CREATE INDEX service_request_point ON service_request (point_id, id);
-- One of a kind at a time, of one consumer at one point.
CREATE UNIQUE INDEX service_request_open ON service_request (point_id, kind, coalesce(consumer, ''))
    WHERE state IN ('submitted', 'in_progress');

CREATE FUNCTION service_request_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell_cabinet('service_request', NEW.id, NEW.point_id, NEW.consumer, NEW.state, NEW.reason);
    RETURN NULL;
END $$;

CREATE TRIGGER service_request_submitted AFTER INSERT ON service_request
    FOR EACH ROW EXECUTE FUNCTION service_request_moved();
CREATE TRIGGER service_request_moved AFTER UPDATE OF state ON service_request
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION service_request_moved();
