-- name: lock_positions_in_buckets
-- Lock a position, and all that are not CLOSED and have a component in one of the buckets.
SELECT p.id, p.status
FROM synthetic_positions p
WHERE p.account_id = $1
  AND (p.id = $2 OR (p.status <> 'CLOSED' AND EXISTS (
    SELECT FROM position_components c
    JOIN unnest($3::text[], $4::text[], $5::smallint[]) AS v (category, symbol, position_idx)
      ON sits_in(c, v.category, v.symbol, v.position_idx)
    WHERE c.position_id = p.id)))
ORDER BY p.id
FOR NO KEY UPDATE OF p;

-- name: set_opens
-- What is open of a position's components from now on; only of those that have open what is said.
UPDATE position_components c
SET expected_quantity = c.closed_quantity + v.after
FROM unnest($2::uuid[], $3::numeric[], $4::numeric[]) AS v (id, before, after)
WHERE c.position_id = $1 AND c.id = v.id AND c.expected_quantity - c.closed_quantity = v.before
RETURNING c.id;

-- name: ensure_unassigned
-- A row for each of the buckets, so that there is one to lock.
INSERT INTO unassigned_quantities (account_id, category, symbol, position_idx, quantity)
SELECT v.account_id, v.category, v.symbol, v.position_idx, 0
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[])
    AS v (account_id, category, symbol, position_idx)
ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, category, symbol, position_idx) DO NOTHING;

-- name: change_unassigned
-- What is unassigned in buckets from now on; only in those that have what is said.
WITH locked AS (
    SELECT u.*, v.before, v.after
    FROM unassigned_quantities u
    JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::numeric[], $6::numeric[])
        AS v (account_id, category, symbol, position_idx, before, after)
      USING (account_id, category, symbol, position_idx)
    ORDER BY 1, 2, 3, 4
    FOR NO KEY UPDATE OF u
)
UPDATE unassigned_quantities u SET quantity = locked.after
FROM locked
WHERE (u.account_id, u.category, u.symbol, u.position_idx)
    = (locked.account_id, locked.category, locked.symbol, locked.position_idx)
  AND u.quantity = locked.before
RETURNING u.symbol;

-- name: unsettled_buckets
-- Those of the buckets whose records do not add up to the actual quantity given.
SELECT v.symbol
FROM unnest($2::text[], $3::text[], $4::smallint[], $5::numeric[])
    AS v (category, symbol, position_idx, actual)
LEFT JOIN unassigned_quantities u
  ON (u.account_id, u.category, u.symbol, u.position_idx)
   = ($1, v.category, v.symbol, v.position_idx)
WHERE v.actual <> coalesce(u.quantity, 0) + (
    SELECT coalesce(sum(CASE c.side WHEN 'Buy' THEN 1 ELSE -1 END
                        * (c.expected_quantity - c.closed_quantity)), 0)
    FROM position_components c
    JOIN synthetic_positions p ON p.id = c.position_id
    WHERE p.account_id = $1 AND p.status <> 'CLOSED'
      AND sits_in(c, v.category, v.symbol, v.position_idx));

-- name: close_if_nothing_is_open
-- End a position of which nothing is open any more; no row if something is.
UPDATE synthetic_positions p
SET status = 'CLOSED', closed_at = $2, is_altered = false, unrealized_pnl = 0, pnl_at = $2
WHERE p.id = $1 AND p.status = 'ACTIVE'
  AND NOT EXISTS (
    SELECT FROM position_components c
    WHERE c.position_id = p.id AND c.closed_quantity < c.expected_quantity)
RETURNING p.id;
