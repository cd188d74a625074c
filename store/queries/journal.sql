-- name: add_event
-- One line of the journal.
INSERT INTO events (at, kind, account_id, position_id, close_id, actor, data)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb);

-- name: events_of_position
-- A position's newest events, newest first.
SELECT id, at, kind, account_id, position_id, close_id, actor, data
FROM events
WHERE position_id = $1
ORDER BY id DESC
LIMIT $2;
