-- Answers to writes, kept for a day under the key the client chose: a retry is answered, not done again.
CREATE TABLE idempotency (
    actor      text NOT NULL,
    key        text NOT NULL,
    digest     bytea NOT NULL,        -- of the operation, the address and the body: one key, one request
    created_at timestamptz NOT NULL DEFAULT now(),
    status     smallint,              -- null while the first request runs
    body       bytea,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
