-- The end of every machine-given series, kept in the transaction that moves it: what the next reading is judged beside,
-- and the answer to "latest of all". `calm`: no step near the end is troubled and no person has typed in a reading of
-- this register, so a good next step needs no further neighbours. `version` lets a writer notice another one.
CREATE TABLE newest (
    register_id integer  NOT NULL,
    source      smallint NOT NULL,
    taken_at    timestamptz NOT NULL,
    value       bigint   NOT NULL,
    calm        boolean  NOT NULL,
    version     integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (register_id, source)
) WITH (fillfactor = 50);

-- One number that changes with everything the door remembers of the fleet.
CREATE TABLE fleet_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number   bigint NOT NULL
);
INSERT INTO fleet_version (number) VALUES (0);

CREATE FUNCTION fleet_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE fleet_version SET number = number + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER meter_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meter
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_changed();
CREATE TRIGGER register_changed AFTER INSERT OR UPDATE OF meter_id, channel, digits, decimals, max_rate OR DELETE OR TRUNCATE
    ON register FOR EACH STATEMENT EXECUTE FUNCTION fleet_changed();
CREATE TRIGGER installation_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON installation
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_changed();
