-- name: open_positions
-- Every position that is not CLOSED, one row per component (or one without), oldest first.
SELECT * FROM position_legs WHERE status <> 'CLOSED' ORDER BY opened_at, id, ordinal;

-- name: recorded_mark
-- All that is recorded of accounts, open positions and unassigned quantities, as one short text.
-- What every compare writes is left out: the flag, its time and the stored P&L.
SELECT ARRAY[
    (SELECT sum(hashtextextended(a::text, 0)) FROM accounts a),
    (SELECT sum(hashtextextended(u::text, 0)) FROM unassigned_quantities u),
    (SELECT sum(hashtextextended((
            p.id, p.account_id, p.name, p.external_id, p.note, p.tags, p.status, p.opened_at
        )::text, 0))
     FROM synthetic_positions p WHERE p.status <> 'CLOSED'),
    (SELECT sum(hashtextextended(c::text, 0))
     FROM position_components c JOIN synthetic_positions p ON p.id = c.position_id
     WHERE p.status <> 'CLOSED'),
    (SELECT sum(hashtextextended(b::text, 0))
     FROM booked b JOIN synthetic_positions p ON p.id = b.position_id
     WHERE p.status <> 'CLOSED')
]::text;

-- name: position
-- One position, one row per component (or one without).
SELECT * FROM position_legs WHERE id = $1 ORDER BY ordinal;

-- name: positions_by_ids
-- The positions of these ids, one row per component (or one without), oldest first.
SELECT * FROM position_legs WHERE id = ANY ($1::uuid[]) ORDER BY opened_at, id, ordinal;

-- name: closed_positions
-- A user's newest CLOSED positions, one row per component; of one account unless it is null.
SELECT legs.*
FROM (
    SELECT p.id
    FROM synthetic_positions p
    JOIN accounts a ON a.id = p.account_id
    WHERE p.status = 'CLOSED' AND a.user_id = $1 AND ($2::uuid IS NULL OR a.id = $2)
    ORDER BY p.closed_at DESC, p.id
    LIMIT $3
) newest
JOIN position_legs legs ON legs.id = newest.id
ORDER BY legs.closed_at DESC, legs.id, legs.ordinal;

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
-- The components in one symbol (for spot: coin) of an account whose positions are not CLOSED.
-- With them come those whose coin is not known (their place is null) and may be that one: a pair
-- begins with its coin.
SELECT c.id AS component_id, c.position_id, c.category, c.symbol, c.side, c.place,
       c.expected_quantity, c.recorded_quantity, c.closed_quantity, c.entry_price, c.coin
FROM position_components c
JOIN synthetic_positions p ON p.id = c.position_id
WHERE p.account_id = $1 AND p.status <> 'CLOSED' AND c.category = $2
  AND (c.place = $3 OR c.place IS NULL AND starts_with(upper(c.symbol), upper($3)))
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

-- name: set_coins
-- Note the coins of the spot components of an environment that do not have theirs yet.
WITH lacking AS (
    SELECT c.id, v.coin
    FROM unnest($2::text[], $3::text[]) AS v (symbol, coin)
    JOIN position_components c
      ON c.symbol = v.symbol AND c.category = 'spot' AND c.coin IS NULL
    JOIN synthetic_positions p ON p.id = c.position_id
    JOIN accounts a ON a.id = p.account_id
    WHERE a.environment = $1
    ORDER BY c.id
    FOR NO KEY UPDATE OF c
)
UPDATE position_components c SET coin = lacking.coin
FROM lacking
WHERE c.id = lacking.id AND c.coin IS NULL;

-- name: edit_position
-- Change the labels of a position, as it was locked; null leaves one as it is.
UPDATE synthetic_positions
SET name = coalesce($2, name), note = coalesce($3, note), tags = coalesce($4::text[], tags)
WHERE id = $1;
