-- name: write_history
-- Points of many positions at once; one that exists already is left.
INSERT INTO pnl_history (position_id, at, unrealized_pnl, net_pnl, currency)
SELECT v.position_id, v.at, v.unrealized_pnl, v.net_pnl, v.currency
FROM unnest($1::uuid[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::text[])
    AS v (position_id, at, unrealized_pnl, net_pnl, currency)
ON CONFLICT (position_id, at) DO NOTHING;

-- name: history
-- A position's points in a span of time; where they are too many, evenly spread ones.
-- The rule is that of daemon/domain/history.py, evenly: for n from 0 to m = limit - 1, the one
-- numbered n * last / m, cut to a whole number.
WITH points AS (
    SELECT *, row_number() OVER (ORDER BY at) - 1 AS number, count(*) OVER () - 1 AS last,
           greatest($4::bigint - 1, 1) AS m
    FROM pnl_history
    WHERE position_id = $1 AND at >= $2 AND at <= $3
)
SELECT position_id, at, unrealized_pnl, net_pnl, currency
FROM points
WHERE last <= m OR ((number * m + last - 1) / nullif(last, 0) * last) / m = number
ORDER BY at
LIMIT $4;

-- name: thinned_until
-- Up to when the history is thinned to one point a step.
SELECT done_until FROM pnl_thinning WHERE step = $1;

-- name: note_thinned
-- Thinning never goes back.
INSERT INTO pnl_thinning AS noted (step, done_until)
VALUES ($1, $2)
ON CONFLICT (step) DO UPDATE
SET done_until = greatest(noted.done_until, excluded.done_until);

-- name: oldest_point_since
-- The time of the oldest point from a time on.
SELECT min(at) AS oldest FROM pnl_history WHERE at >= $1;

-- name: thin_history
-- Keep the first point of each position and slot in a span of whole slots; how many others went.
WITH slotted AS (
    SELECT position_id, at,
           row_number() OVER (
               PARTITION BY position_id, date_bin($3, at, '1970-01-01+00') ORDER BY at) AS number
    FROM pnl_history
    WHERE at >= $1 AND at < $2
), gone AS (
    DELETE FROM pnl_history h
    USING slotted
    WHERE (h.position_id, h.at) = (slotted.position_id, slotted.at) AND slotted.number > 1
    RETURNING 1
)
SELECT count(*) AS gone FROM gone;

-- name: drop_history
-- Drop a bounded number of the points up to a time, oldest first; how many went.
WITH old AS (
    SELECT position_id, at FROM pnl_history WHERE at <= $1 ORDER BY at LIMIT $2
), gone AS (
    DELETE FROM pnl_history h
    USING old
    WHERE (h.position_id, h.at) = (old.position_id, old.at)
    RETURNING 1
)
SELECT count(*) AS gone FROM gone;
