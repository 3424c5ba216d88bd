-- Which lines a collector would poll: one that wants none of another's is no standby of it. Null: all.
ALTER TABLE collector ADD COLUMN wants text[];
