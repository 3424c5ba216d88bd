-- What of a big fleet is looked up by something else than its key. Without these, one gateway's meters, one model's, one
-- meter's requests, one point's moves and the few that are still open are found by reading all there ever were.
CREATE INDEX meter_gateway ON meter (gateway, serial) WHERE gateway IS NOT NULL;
CREATE INDEX meter_model ON meter (model, serial);
CREATE INDEX meter_verified ON meter (verified_until) WHERE verified_until IS NOT NULL;
CREATE INDEX installation_reading_register ON installation_reading (register_id);
CREATE INDEX event_kind ON event (kind, id);
CREATE INDEX cabinet_event_point ON cabinet_event (point_id, id) WHERE point_id IS NOT NULL;
CREATE INDEX reading_request_meter ON reading_request (meter_id, id);

-- What waits for a collector is looked through every few seconds, what waits for staff piles up: an index each.
DROP INDEX reading_request_open;
CREATE INDEX reading_request_waiting ON reading_request (asked_at) WHERE state IN ('queued', 'polling');
CREATE INDEX reading_request_open ON reading_request (id) WHERE state IN ('queued', 'polling', 'manual');
CREATE INDEX service_request_waiting ON service_request (id) WHERE state IN ('submitted', 'in_progress');
