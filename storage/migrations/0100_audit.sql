-- Who asked what: every request of staff, and every write of anybody. Consumption is personal data.
CREATE TABLE audit (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    actor     text NOT NULL,         -- the token's name, or the consumer an identity provider vouched for
    role      text NOT NULL,
    operation text NOT NULL,         -- the operation id of the contract: getConsumption, submitReadings, ...
    point     text,                  -- as it was asked for, whether it exists or not
    status    smallint NOT NULL,     -- what the answer was: refused attempts are kept too
    detail    text NOT NULL DEFAULT '',
    client    text                   -- the network address it came from
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_point ON audit (point, at) WHERE point IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor, at);
