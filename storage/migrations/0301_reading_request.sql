-- Somebody wants a meter read now: the collector that owns its line asks ahead of the schedule, or staff go there.
CREATE TABLE reading_request (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter_id    integer NOT NULL REFERENCES meter,
    point_id    integer REFERENCES point,     -- that was asked for; null: the meter itself was
    asked_at    timestamptz NOT NULL DEFAULT now(),
    asked_by    text NOT NULL,
    state       text NOT NULL CHECK (state IN ('queued', 'polling', 'manual', 'done', 'failed')),
    taken_at    timestamptz,
    taken_by    text,                         -- the collector
    finished_at timestamptz,
    finished_by text,                         -- whoever of the staff, null for a collector
    read_at     timestamptz,                  -- the instant of the readings it brought
    failure     text,                         -- stable code: timeout, line_down, not_taken, ...
    detail      text,                         -- for staff: names wires
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);
CREATE INDEX reading_request_open ON reading_request (asked_at) WHERE state IN ('queued', 'polling', 'manual');
CREATE INDEX reading_request_asker ON reading_request (asked_by, asked_at);
CREATE INDEX reading_request_point ON reading_request (point_id, asked_at);
