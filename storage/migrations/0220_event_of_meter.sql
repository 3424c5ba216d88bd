-- What happened to one meter: looked up before an event of it is raised again, and for its card.
CREATE INDEX event_meter ON event (meter_id, at) WHERE meter_id IS NOT NULL;
