-- Which collectors are alive: an owner of lines that lost the database goes on polling only while nobody could have
-- taken its lines over.
CREATE TABLE collector (
    name    text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
