-- Every page asks what stood at one point, and the door since when one meter stands anywhere. The exclusions compare
-- ranges, not numbers, so that both read the whole table: a thousand new meters of five thousand took two seconds.
CREATE INDEX installation_point ON installation (point_id, since);
CREATE INDEX installation_meter ON installation (meter_id, since);
