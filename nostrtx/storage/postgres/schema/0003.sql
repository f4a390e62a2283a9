-- What is kept under a name and is no event.

CREATE TABLE nostrtx.records (
    name text PRIMARY KEY,
    record bytea NOT NULL
);
