-- The meters of one line, page by page in the order of their serial numbers.
CREATE INDEX meter_line ON meter (line_id, serial) WHERE line_id IS NOT NULL;
