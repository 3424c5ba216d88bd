-- Each state of each reading request is told to cabinets.
-- Who asks from a cabinet is stored as consumer:<id>.
CREATE FUNCTION reading_request_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell_cabinet('reading_request', NEW.id, NEW.point_id,
        CASE WHEN starts_with(NEW.asked_by, 'consumer:') THEN substr(NEW.asked_by, 10) END, NEW.state, NEW.failure);
    RETURN NULL;
END $$;

CREATE TRIGGER reading_request_asked AFTER INSERT ON reading_request
    FOR EACH ROW EXECUTE FUNCTION reading_request_moved();
CREATE TRIGGER reading_request_moved AFTER UPDATE OF state ON reading_request
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION reading_request_moved();

INSERT INTO cabinet_event (at, kind, number, point_id, consumer, state, reason)
SELECT coalesce(finished_at, taken_at, asked_at), 'reading_request', id, point_id,
       CASE WHEN starts_with(asked_by, 'consumer:') THEN substr(asked_by, 10) END, state, failure
FROM reading_request ORDER BY id;
