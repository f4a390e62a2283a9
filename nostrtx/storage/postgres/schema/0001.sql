-- The tables of the shared store. docs/architecture.md says what they are for.

CREATE TABLE nostrtx.identity (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    identity uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO nostrtx.identity DEFAULT VALUES;

-- One row: whoever has locked it is the one who writes.
CREATE TABLE nostrtx.counters (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last_seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO nostrtx.counters DEFAULT VALUES;

-- The last transaction of each process: so one that lost its connection finds out.
CREATE TABLE nostrtx.writers (
    writer uuid PRIMARY KEY,
    batch bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE nostrtx.events (
    seq bigint NOT NULL,
    expires_at bigint,
    place uuid NOT NULL,
    kind integer NOT NULL,
    address uuid,
    id bytea NOT NULL,
    pubkey bytea NOT NULL
);
CREATE UNIQUE INDEX events_seq ON nostrtx.events (seq);
CREATE UNIQUE INDEX events_id ON nostrtx.events (id);
-- With all that a list of an author's events is asked for: each would else be looked up
-- on a page of its own.
CREATE INDEX events_author ON nostrtx.events (pubkey, kind, place)
    INCLUDE (seq, expires_at);
CREATE INDEX events_kind ON nostrtx.events (kind, place);
CREATE INDEX events_place ON nostrtx.events (place);
CREATE UNIQUE INDEX events_address ON nostrtx.events (address)
    WHERE address IS NOT NULL;
CREATE INDEX events_expires_at ON nostrtx.events (expires_at)
    WHERE expires_at IS NOT NULL;

CREATE TABLE nostrtx.bodies (
    seq bigint NOT NULL,
    raw bytea NOT NULL
);
CREATE UNIQUE INDEX bodies_seq ON nostrtx.bodies (seq);
DO $$
BEGIN
    ALTER TABLE nostrtx.bodies ALTER COLUMN raw SET COMPRESSION lz4;
EXCEPTION WHEN OTHERS THEN
    -- A server without lz4: its other compression is too slow.
    ALTER TABLE nostrtx.bodies ALTER COLUMN raw SET STORAGE EXTERNAL;
END
$$;

CREATE TABLE nostrtx.tags (
    seq bigint NOT NULL,
    expires_at bigint,
    place uuid NOT NULL,
    tag uuid NOT NULL,
    kind integer NOT NULL
);
CREATE INDEX tags_place ON nostrtx.tags (tag, kind, place);
CREATE INDEX tags_seq ON nostrtx.tags (seq);

CREATE TABLE nostrtx.deleted_ids (
    id bytea NOT NULL,
    deleter bytea NOT NULL,
    PRIMARY KEY (id, deleter)
);
CREATE TABLE nostrtx.deleted_addresses (
    address uuid PRIMARY KEY,
    until bigint NOT NULL
);
CREATE TABLE nostrtx.vanished (
    pubkey bytea PRIMARY KEY,
    until bigint NOT NULL
);
