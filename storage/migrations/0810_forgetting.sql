-- What is finished is found by when, for whoever forgets it.
CREATE INDEX reading_request_finished ON reading_request (finished_at) WHERE finished_at IS NOT NULL;

-- The record of who asked what is nobody's to change, neither of those who serve nor of those who collect: the nightly
-- job, which is a collector's, may take away what is older than a year and nothing else. It returns how many acts, at
-- most so many at a time. The schema is written into it, because what runs with its owner's rights looks nothing up.
DO $outer$
BEGIN
    EXECUTE format($function$
        CREATE FUNCTION forget_audit(before timestamptz, most integer) RETURNS bigint
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            gone bigint;
        BEGIN
            IF before > now() - interval '365 days' THEN
                RAISE 'acts younger than a year are not forgotten: %%', before;
            END IF;
            DELETE FROM %1$I.audit
            WHERE id IN (SELECT id FROM %1$I.audit WHERE at < before ORDER BY at LIMIT most);
            GET DIAGNOSTICS gone = ROW_COUNT;
            RETURN gone;
        END $body$
    $function$, current_schema());
END $outer$;
REVOKE EXECUTE ON FUNCTION forget_audit(timestamptz, integer) FROM PUBLIC;
