-- Uploaded originals, one row for each event.

CREATE TABLE IF NOT EXISTS originals (
    -- The webhook-id of the event. It is the same each time the event is sent, so the primary key prevents duplicates.
    event_id     TEXT PRIMARY KEY,
    key          TEXT NOT NULL,
    url          TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    -- Size after EXIF orientation; NULL for types that are not decoded.
    width        INTEGER,
    height       INTEGER,
    sha256       TEXT NOT NULL,
    -- RFC 3339 in UTC. Events may arrive in any order: if two events have the same key, the later time belongs to the
    -- newer original.
    stored_at    TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS originals_by_key ON originals (key, stored_at);
