-- name: add_event
-- One line of the journal.
INSERT INTO events (at, kind, account_id, position_id, close_id, actor, data)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb);

-- name: events_of_position
-- The newest events of a position and of deviations, newest first, with the actor's name.
SELECT e.id, e.at, e.kind, u.username AS actor, e.data
FROM (
    (SELECT * FROM events WHERE position_id = $1 ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT *
     FROM events
     WHERE data ? 'deviation' AND (data ->> 'deviation')::bigint = ANY ($2::bigint[])
       AND position_id IS DISTINCT FROM $1
     ORDER BY id DESC
     LIMIT $3)
) e
LEFT JOIN users u ON u.id = e.actor
ORDER BY e.id DESC
LIMIT $3;
