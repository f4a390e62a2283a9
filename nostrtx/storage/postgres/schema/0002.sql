-- What is banned: of each subject the last change, by its number.

CREATE TABLE nostrtx.bans (
    kind text NOT NULL,
    subject text NOT NULL,
    number bigint NOT NULL,
    reason text NOT NULL,
    made_at bigint NOT NULL,
    is_lifted boolean NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE UNIQUE INDEX bans_number ON nostrtx.bans (number);
ALTER TABLE nostrtx.counters ADD COLUMN last_ban bigint NOT NULL DEFAULT 0;
