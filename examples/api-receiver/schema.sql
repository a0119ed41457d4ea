-- The originals that were stored, one row an event.

CREATE TABLE IF NOT EXISTS originals (
    -- The event's webhook-id. It is the same however often the event is sent, so as a primary key it makes it count once.
    event_id     TEXT PRIMARY KEY,
    key          TEXT NOT NULL,
    url          TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    -- As the picture is meant to be seen; missing for types that are not decoded.
    width        INTEGER,
    height       INTEGER,
    sha256       TEXT NOT NULL,
    -- RFC 3339 in UTC. Events may come in any order: of two with one key, the later time is the newer original.
    stored_at    TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS originals_by_key ON originals (key, stored_at);
