-- The key carries what every read asks for. Rows lie in the order in which they came, thousands of registers side by
-- side, so that a month of half-hours of one register is 1 500 pages of the table, and a dozen of an index that has the
-- values in it. That works where pages are known to be visible to all: so vacuum looks after every hundredth, not every
-- fifth, that came.
ALTER TABLE reading
    DROP CONSTRAINT reading_pkey,
    ADD CONSTRAINT reading_pkey PRIMARY KEY (register_id, source, taken_at) INCLUDE (value, quality);
ALTER TABLE reading SET (autovacuum_vacuum_insert_scale_factor = 0.01);
