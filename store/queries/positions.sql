-- name: open_positions
-- Every position that is not CLOSED, one row per component (or one without), oldest first.
SELECT p.*, a.user_id, a.environment,
       c.id AS component_id, c.category, c.symbol, c.side,
       c.expected_quantity, c.closed_quantity, c.entry_price
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
LEFT JOIN position_components c ON c.position_id = p.id
WHERE p.status <> 'CLOSED'
ORDER BY p.opened_at, p.id, c.ordinal;

-- name: position
-- One position, one row per component (or one without).
SELECT p.*, a.user_id, a.environment,
       c.id AS component_id, c.category, c.symbol, c.side,
       c.expected_quantity, c.closed_quantity, c.entry_price
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
LEFT JOIN position_components c ON c.position_id = p.id
WHERE p.id = $1
ORDER BY c.ordinal;

-- name: closed_positions
-- A user's newest CLOSED positions, one row per component; of one account unless it is null.
SELECT p.*, c.id AS component_id, c.category, c.symbol, c.side,
       c.expected_quantity, c.closed_quantity, c.entry_price
FROM (
    SELECT p.*, a.user_id, a.environment
    FROM synthetic_positions p
    JOIN accounts a ON a.id = p.account_id
    WHERE p.status = 'CLOSED' AND a.user_id = $1 AND ($2::uuid IS NULL OR a.id = $2)
    ORDER BY p.closed_at DESC, p.id
    LIMIT $3
) p
LEFT JOIN position_components c ON c.position_id = p.id
ORDER BY p.closed_at DESC, p.id, c.ordinal;

-- name: insert_position
-- A new position; no row comes back if the account has one of that external id.
INSERT INTO synthetic_positions (account_id, name, external_id, note, tags)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id, external_id) DO NOTHING
RETURNING id;

-- name: position_by_external_id
-- The id of an account's position of that external id.
SELECT id FROM synthetic_positions WHERE account_id = $1 AND external_id = $2;

-- name: insert_components
-- The components of a new position, in the order given.
INSERT INTO position_components (position_id, category, symbol, side, expected_quantity, entry_price)
SELECT $1, v.category, v.symbol, v.side, v.quantity, v.entry_price
FROM unnest($2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[]) WITH ORDINALITY
    AS v (category, symbol, side, quantity, entry_price, n)
ORDER BY v.n;

-- name: set_unassigned
-- The unassigned quantities of buckets, as they are from now on.
INSERT INTO unassigned_quantities (account_id, category, symbol, position_idx, quantity)
SELECT v.account_id, v.category, v.symbol, v.position_idx, v.quantity
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::numeric[])
    AS v (account_id, category, symbol, position_idx, quantity)
ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, category, symbol, position_idx)
DO UPDATE SET quantity = excluded.quantity;

-- name: claimed_components
-- The components in one symbol of an account whose positions are not CLOSED.
SELECT c.id AS component_id, c.position_id, c.category, c.symbol, c.side,
       c.expected_quantity, c.closed_quantity, c.entry_price
FROM position_components c
JOIN synthetic_positions p ON p.id = c.position_id
WHERE p.account_id = $1 AND p.status <> 'CLOSED' AND c.category = $2 AND c.symbol = $3
ORDER BY c.ordinal;

-- name: unassigned_in_symbol
-- The unassigned quantity per positionIdx of one symbol of an account.
SELECT position_idx, quantity
FROM unassigned_quantities
WHERE account_id = $1 AND category = $2 AND symbol = $3;

-- name: all_unassigned
-- Every unassigned quantity that is not zero.
SELECT account_id, category, symbol, position_idx, quantity
FROM unassigned_quantities
WHERE quantity <> 0;

-- name: write_verdicts
-- Set the flags and verification times, and journal each flag that changed.
-- Rows are locked in the order of their ids, as everywhere, and an older compare never overwrites
-- a newer one.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::timestamptz[])
        AS v (id, is_altered, verified_at)
), before AS (
    SELECT p.id, p.account_id, p.is_altered
    FROM synthetic_positions p
    JOIN given USING (id)
    WHERE p.status <> 'CLOSED' AND coalesce(p.verified_at <= given.verified_at, true)
    ORDER BY p.id
    FOR NO KEY UPDATE OF p
), written AS (
    UPDATE synthetic_positions p
    SET is_altered = given.is_altered, verified_at = given.verified_at
    FROM before JOIN given USING (id)
    WHERE p.id = before.id
    RETURNING p.id, p.account_id, before.is_altered AS was, p.is_altered AS now
)
INSERT INTO events (at, kind, account_id, position_id)
SELECT $4, CASE WHEN now THEN 'altered' ELSE 'in-sync' END, account_id, id
FROM written
WHERE was <> now
ORDER BY id;

-- name: write_deviations
-- Open or refresh the deviations of buckets, and journal those that are new or have changed.
WITH given AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::smallint[],
        $5::text[], $6::numeric[], $7::numeric[], $8::text[])
        AS v (account_id, category, symbol, position_idx, kind, expected, actual, cause)
), before AS (
    SELECT d.*
    FROM deviations d
    JOIN given g ON (d.account_id, d.category, d.symbol, d.position_idx)
                  = (g.account_id, g.category, g.symbol, g.position_idx)
    WHERE d.ended_at IS NULL
), written AS (
    INSERT INTO deviations (account_id, category, symbol, position_idx,
                            kind, expected, actual, cause, first_seen, last_verified)
    SELECT account_id, category, symbol, position_idx, kind, expected, actual, cause, $9, $9
    FROM given
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, category, symbol, position_idx) WHERE ended_at IS NULL
    DO UPDATE SET kind = excluded.kind, expected = excluded.expected, actual = excluded.actual,
                  cause = coalesce(excluded.cause, deviations.cause),
                  last_verified = excluded.last_verified
    RETURNING *
)
INSERT INTO events (at, kind, account_id, data)
SELECT $9, CASE WHEN before.id IS NULL THEN 'deviation-seen' ELSE 'deviation-changed' END,
       w.account_id,
       jsonb_build_object(
           'deviation', w.id, 'category', w.category, 'symbol', w.symbol,
           'position_idx', w.position_idx, 'kind', w.kind, 'expected', w.expected::text,
           'actual', w.actual::text, 'difference', w.difference::text, 'cause', w.cause,
           'first_seen', w.first_seen)
FROM written w
LEFT JOIN before ON before.id = w.id
WHERE before.id IS NULL
   OR (before.kind, before.expected, before.actual, before.cause)
      IS DISTINCT FROM (w.kind, w.expected, w.actual, w.cause)
ORDER BY w.id;

-- name: end_deviations
-- End the open deviations of buckets, and journal each.
WITH ended AS (
    UPDATE deviations d
    SET ended_at = $5, last_verified = $5
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[])
        AS v (account_id, category, symbol, position_idx)
    WHERE d.ended_at IS NULL
      AND (d.account_id, d.category, d.symbol, d.position_idx)
        = (v.account_id, v.category, v.symbol, v.position_idx)
    RETURNING d.*
)
INSERT INTO events (at, kind, account_id, data)
SELECT $5, 'deviation-ended', account_id,
       jsonb_build_object(
           'deviation', id, 'category', category, 'symbol', symbol,
           'position_idx', position_idx, 'kind', kind, 'expected', expected::text,
           'actual', actual::text, 'difference', difference::text, 'cause', cause,
           'first_seen', first_seen)
FROM ended
ORDER BY id;

-- name: write_pnl
-- Store the computed P&L of many positions at once; touches hot columns only.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::numeric[], $3::timestamptz[])
        AS v (id, unrealized_pnl, pnl_at)
), locked AS (
    SELECT p.id, given.unrealized_pnl, given.pnl_at
    FROM synthetic_positions p
    JOIN given USING (id)
    WHERE p.status <> 'CLOSED' AND coalesce(p.pnl_at <= given.pnl_at, true)
    ORDER BY p.id
    FOR NO KEY UPDATE OF p
)
UPDATE synthetic_positions p
SET unrealized_pnl = locked.unrealized_pnl, pnl_at = locked.pnl_at
FROM locked
WHERE p.id = locked.id;
