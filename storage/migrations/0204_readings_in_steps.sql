-- Readings as they lie on the disk, and as everybody reads them (decision 24). The columnstore keeps differences of
-- differences whole: a value in millionths has twenty noisy bits a reading, the same in watt hours ten; the microsecond
-- at which a batch came in has twenty more of its own. So a value is kept in steps, and when it came in as tens of seconds
-- after it was taken. Nothing that is stored already is written again: it has steps of one, and its instant.
ALTER TABLE reading RENAME TO stored_reading;
ALTER TABLE stored_reading
    ADD COLUMN step smallint NOT NULL DEFAULT 1,
    ADD COLUMN delay smallint;
ALTER TABLE stored_reading ALTER COLUMN received_at DROP NOT NULL;
ALTER TABLE stored_reading
    DROP CONSTRAINT reading_pkey,
    ADD CONSTRAINT stored_reading_pkey PRIMARY KEY (register_id, source, taken_at) INCLUDE (value, quality, step);
COMMENT ON COLUMN stored_reading.value IS 'in steps: value * step is millionths of the base unit';
COMMENT ON COLUMN stored_reading.delay IS 'whole tens of seconds from taken_at to when it came in; null where received_at says it';

CREATE VIEW reading AS
SELECT register_id, source, taken_at, coalesce(received_at, taken_at + delay * interval '10 seconds') AS received_at,
       value * step AS value, quality, reasons
FROM stored_reading;

-- For whoever still writes to `reading`: processes of the version before, until they are replaced. Ours do not.
CREATE FUNCTION store_reading() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    millionths smallint := CASE WHEN NEW.value % 1000 = 0 THEN 1000 ELSE 1 END;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons, step)
        VALUES (NEW.register_id, NEW.source, NEW.taken_at, NEW.received_at, NEW.value / millionths, NEW.quality,
                NEW.reasons, millionths)
        ON CONFLICT DO NOTHING;
    ELSE
        UPDATE stored_reading
        SET received_at = NEW.received_at, delay = NULL, value = NEW.value / millionths, step = millionths,
            quality = NEW.quality, reasons = NEW.reasons
        WHERE register_id = OLD.register_id AND source = OLD.source AND taken_at = OLD.taken_at;
    END IF;
    RETURN CASE WHEN FOUND THEN NEW END;
END $$;
CREATE TRIGGER store_reading INSTEAD OF INSERT OR UPDATE ON reading FOR EACH ROW EXECUTE FUNCTION store_reading();
