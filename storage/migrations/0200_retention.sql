-- How far the history is thinned to the first readings of its days; nothing older than that is looked at again.
CREATE TABLE retention (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    thinned_until timestamptz NOT NULL,
    ran_at        timestamptz NOT NULL,
    removed       bigint NOT NULL        -- readings and load profile slots, ever
);
