-- Somebody at a line that a collector polls wants to read, scan or watch it: its owner does, and tells here.
CREATE TABLE line_request (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line        text NOT NULL,                -- by name: a line may go while it is asked
    kind        text NOT NULL CHECK (kind IN ('read', 'scan', 'watch')),
    wanted      jsonb NOT NULL,               -- what exactly; never a password
    asked_at    timestamptz NOT NULL DEFAULT now(),
    asked_by    text NOT NULL,
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'working', 'done', 'failed')),
    taken_at    timestamptz,
    taken_by    text,                         -- the collector
    heard_at    timestamptz NOT NULL DEFAULT now(), -- when whoever asked was last there to read the answer
    told_at     timestamptz NOT NULL DEFAULT now(), -- when the collector last told anything
    finished_at timestamptz,
    failure     text,                         -- stable code: timeout, line_down, not_taken, left, ...
    detail      text,
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);
CREATE INDEX line_request_open ON line_request (line) WHERE state IN ('queued', 'working');
CREATE INDEX line_request_asked ON line_request (asked_at);

-- What the owner told, in its order: values of a register, somebody found, progress, frames.
CREATE TABLE line_answer (
    request_id bigint NOT NULL REFERENCES line_request ON DELETE CASCADE,
    number     integer NOT NULL,
    told_at    timestamptz NOT NULL DEFAULT now(),
    body       jsonb NOT NULL,
    PRIMARY KEY (request_id, number)
);
