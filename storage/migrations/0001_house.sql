-- The fleet, the readings and what surrounds them. Plain PostgreSQL, no extension: the embedded server carries none.
-- Numbers are whole millionths of the base unit (bigint), so 1 is 1 mWh. Instants are timestamptz.

CREATE TABLE point (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code          text NOT NULL UNIQUE CHECK (code <> ''),
    name          text NOT NULL DEFAULT '',
    address       text NOT NULL DEFAULT '',
    zone          text NOT NULL,
    category      text NOT NULL DEFAULT 'household',
    official_code text UNIQUE,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE line (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    kind       text NOT NULL,
    address    text NOT NULL,
    options    jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE meter (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial     text NOT NULL UNIQUE CHECK (serial <> ''),
    model      text NOT NULL,
    line_id    integer REFERENCES line,
    address    text,          -- on the bus: a Modbus unit id, a Меркурий address
    gateway    text,          -- the MQTT gateway allowed to deliver for it
    period     interval NOT NULL DEFAULT '30 minutes' CHECK (period > interval '0'),
    CHECK (line_id IS NULL OR gateway IS NULL),
    CHECK ((line_id IS NULL) = (address IS NULL)),
    UNIQUE (line_id, address)
);

CREATE TABLE register (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter_id   integer NOT NULL REFERENCES meter,
    channel    text NOT NULL,
    digits     smallint CHECK (digits BETWEEN 1 AND 12),
    decimals   smallint NOT NULL CHECK (decimals BETWEEN 0 AND 6),
    max_rate   numeric CHECK (max_rate > 0),       -- base units per hour
    people     boolean NOT NULL DEFAULT false,     -- somebody has typed in a reading of it: judge sources together
    UNIQUE (meter_id, channel)
);

-- Range types alone give the two exclusions: one meter at a point, one point for a meter, at any instant.
CREATE TABLE installation (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id   integer NOT NULL REFERENCES point,
    meter_id   integer NOT NULL REFERENCES meter,
    since      timestamptz NOT NULL,
    until      timestamptz CHECK (until > since),
    ct         numeric NOT NULL DEFAULT 1 CHECK (ct > 0),
    vt         numeric NOT NULL DEFAULT 1 CHECK (vt > 0),
    CONSTRAINT installation_point_taken EXCLUDE USING gist
        (int4range(point_id, point_id, '[]') WITH &&, tstzrange(since, until) WITH &&),
    CONSTRAINT installation_meter_elsewhere EXCLUDE USING gist
        (int4range(meter_id, meter_id, '[]') WITH &&, tstzrange(since, until) WITH &&)
);

CREATE TABLE installation_reading (
    installation_id integer NOT NULL REFERENCES installation ON DELETE CASCADE,
    register_id     integer NOT NULL REFERENCES register,
    opening         bigint,
    closing         bigint,
    PRIMARY KEY (installation_id, register_id)
);

-- The key has the source before the time: a judge's neighbours and a cut's nearest readings are of one source,
-- and one probe finds them at any history length. No foreign key and no second index: this is the write path.
CREATE TABLE reading (
    register_id integer NOT NULL,
    source      smallint NOT NULL,
    taken_at    timestamptz NOT NULL,
    received_at timestamptz NOT NULL,   -- one for the whole batch: different ones double the compressed size
    value       bigint NOT NULL,
    quality     smallint NOT NULL,
    reasons     smallint NOT NULL,
    PRIMARY KEY (register_id, source, taken_at)
);

CREATE TABLE interval_reading (
    register_id integer NOT NULL,
    source      smallint NOT NULL,
    start       timestamptz NOT NULL,
    seconds     integer NOT NULL CHECK (seconds > 0),
    received_at timestamptz NOT NULL,
    energy      bigint NOT NULL,        -- of [start, start + seconds), before the ratio K
    quality     smallint NOT NULL,
    PRIMARY KEY (register_id, source, start)
);

-- Where a register's counting may be broken (fall, jump, rollover): instants worth looking at beside the cuts.
CREATE TABLE discontinuity (
    register_id integer NOT NULL,
    source      smallint NOT NULL,
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (register_id, source, taken_at)
);

-- Who typed a reading in, or stands behind it.
CREATE TABLE entry (
    register_id integer NOT NULL REFERENCES register,
    source      smallint NOT NULL,
    taken_at    timestamptz NOT NULL,
    author      text,
    note        text,
    entered_at  timestamptz NOT NULL,
    PRIMARY KEY (register_id, source, taken_at)
);

CREATE TABLE superseded_reading (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    register_id   integer NOT NULL REFERENCES register,
    source        smallint NOT NULL,
    taken_at      timestamptz NOT NULL,
    value         bigint NOT NULL,
    quality       smallint NOT NULL,
    reasons       smallint NOT NULL,
    received_at   timestamptz NOT NULL,
    author        text,
    note          text,
    superseded_at timestamptz NOT NULL DEFAULT now(),
    superseded_by text
);
CREATE INDEX superseded_reading_register ON superseded_reading (register_id, taken_at);

-- A judgement changed by later evidence; values never change.
CREATE TABLE rejudgement (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    register_id integer NOT NULL,
    source      smallint NOT NULL,
    taken_at    timestamptz NOT NULL,
    old_quality smallint NOT NULL,
    old_reasons smallint NOT NULL,
    new_quality smallint NOT NULL,
    new_reasons smallint NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rejudgement_register ON rejudgement (register_id, taken_at);

-- What came and could not be a reading, raw and whole. The same refusal seen again is counted, not repeated.
CREATE TABLE quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      bytea NOT NULL UNIQUE,      -- of origin, reason and raw
    origin      text NOT NULL,              -- 'mqtt:<topic>', 'modbus:<line>/<address>', 'import:<file>:<row>', 'api:<token>'
    reason      text NOT NULL,              -- stable code: unknown_meter, unknown_channel, conflict, malformed, ...
    detail      text NOT NULL,
    raw         bytea NOT NULL,
    meter       text,
    channel     text,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    times       integer NOT NULL DEFAULT 1
);
CREATE INDEX quarantine_last ON quarantine (last_at);

CREATE TABLE last_contact (
    meter_id     integer PRIMARY KEY REFERENCES meter,
    tried_at     timestamptz NOT NULL,
    answered_at  timestamptz,
    failure      text,                      -- null when the last try was answered; else a stable code
    detail       text,
    failed_turns integer NOT NULL DEFAULT 0
);

CREATE TABLE event (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    kind     text NOT NULL,                 -- stable code: zone_sum, exchange, ratio, swapped_meter, ...
    point_id integer REFERENCES point,
    meter_id integer REFERENCES meter,
    detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_at ON event (at);

CREATE TABLE contract (
    consumer  text NOT NULL CHECK (consumer <> ''),
    point_id  integer NOT NULL REFERENCES point,
    since     timestamptz NOT NULL,
    until     timestamptz CHECK (until > since),
    PRIMARY KEY (consumer, point_id, since)
);
CREATE INDEX contract_point ON contract (point_id);

CREATE TABLE token (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    digest     bytea NOT NULL UNIQUE,       -- SHA-256 of 256 random bits; the token itself is never stored
    role       text NOT NULL CHECK (role IN ('consumer', 'operator', 'engineer', 'admin')),
    consumer   text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CHECK ((role = 'consumer') = (consumer IS NOT NULL))
);
