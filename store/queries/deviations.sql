-- name: lock_accounts
-- Whoever writes deviations is alone with them, one account after the other.
SELECT id FROM accounts WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: write_deviations
-- Open or refresh the deviations of buckets, and journal those that are new or have changed.
-- A bucket where nothing is open (any more) has none: nobody would ever end it.
WITH given AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::smallint[],
        $5::text[], $6::numeric[], $7::numeric[],
        $8::text[], $9::text[], $10::numeric[], $11::numeric[], $12::timestamptz[],
        $13::jsonb[], $14::boolean[])
        AS v (account_id, category, symbol, position_idx, kind, expected, actual,
              cause, cause_kind, cause_quantity, cause_price, cause_at, order_ids, while_away)
    WHERE EXISTS (
        SELECT FROM synthetic_positions p
        JOIN position_components c ON c.position_id = p.id
        WHERE p.account_id = v.account_id AND p.status <> 'CLOSED'
          AND c.closed_quantity < c.expected_quantity
          AND sits_in(c, v.category, v.symbol, v.position_idx))
), before AS (
    SELECT d.*
    FROM deviations d
    JOIN given g ON (d.account_id, d.category, d.symbol, d.position_idx)
                  = (g.account_id, g.category, g.symbol, g.position_idx)
    WHERE d.ended_at IS NULL
), written AS (
    INSERT INTO deviations AS d (
        account_id, category, symbol, position_idx, kind, expected, actual,
        cause, cause_kind, cause_quantity, cause_price, cause_at, cause_order_ids,
        cause_while_away, first_seen, last_verified)
    SELECT account_id, category, symbol, position_idx, kind, expected, actual,
           cause, cause_kind, cause_quantity, cause_price, cause_at,
           ARRAY(SELECT jsonb_array_elements_text(order_ids)), while_away, $15, $15
    FROM given
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, category, symbol, position_idx) WHERE ended_at IS NULL
    DO UPDATE SET
        kind = excluded.kind, expected = excluded.expected, actual = excluded.actual,
        last_verified = excluded.last_verified,
        (cause, cause_kind, cause_quantity, cause_price, cause_at, cause_order_ids,
         cause_while_away) = (
            -- No cause found this time says nothing against the one on record.
            SELECT c.cause, c.cause_kind, c.cause_quantity, c.cause_price, c.cause_at,
                   c.cause_order_ids, c.cause_while_away
            FROM (SELECT (CASE WHEN excluded.cause IS NULL THEN d ELSE excluded END).*) c)
    RETURNING d
)
INSERT INTO events (at, kind, account_id, data)
SELECT $15, CASE WHEN before.id IS NULL THEN 'deviation-seen' ELSE 'deviation-changed' END,
       (w.d).account_id, deviation_facts(w.d)
FROM written w
LEFT JOIN before ON before.id = (w.d).id
WHERE before.id IS NULL
   OR (before.kind, before.expected, before.actual, before.cause)
      IS DISTINCT FROM ((w.d).kind, (w.d).expected, (w.d).actual, (w.d).cause)
ORDER BY (w.d).id;

-- name: open_deviations_in
-- The open deviations of these buckets.
SELECT d.*
FROM deviations d
JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[])
    AS v (account_id, category, symbol, position_idx)
  ON (d.account_id, d.category, d.symbol, d.position_idx)
   = (v.account_id, v.category, v.symbol, v.position_idx)
WHERE d.ended_at IS NULL
ORDER BY d.id;

-- name: end_deviations
-- End the open deviations of buckets, found gone or resolved by somebody, and journal each.
WITH ended AS (
    UPDATE deviations d
    SET ended_at = $5, last_verified = $5, resolution = $6, resolved_by = $7
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[])
        AS v (account_id, category, symbol, position_idx)
    WHERE d.ended_at IS NULL
      AND (d.account_id, d.category, d.symbol, d.position_idx)
        = (v.account_id, v.category, v.symbol, v.position_idx)
    RETURNING d
)
INSERT INTO events (at, kind, account_id, actor, data)
SELECT $5, 'deviation-ended', (d).account_id, $7, deviation_facts(d)
FROM ended
ORDER BY (d).id;

-- name: end_ownerless_deviations
-- End the open deviations of accounts where nothing is open in the bucket any more.
-- Nothing is compared there from now on, so that no compare would ever find them gone.
WITH ended AS (
    UPDATE deviations d
    SET ended_at = greatest($2, d.first_seen)
    WHERE d.ended_at IS NULL AND d.account_id = ANY ($1::uuid[])
      AND NOT EXISTS (
        SELECT FROM synthetic_positions p
        JOIN position_components c ON c.position_id = p.id
        WHERE p.account_id = d.account_id AND p.status <> 'CLOSED'
          AND c.closed_quantity < c.expected_quantity
          AND sits_in(c, d.category, d.symbol, d.position_idx))
    RETURNING d
)
INSERT INTO events (at, kind, account_id, data)
SELECT $2, 'deviation-ended', (d).account_id, deviation_facts(d)
FROM ended
ORDER BY (d).id;

-- name: open_deviations
-- Every deviation that has not ended, oldest first.
SELECT * FROM deviations WHERE ended_at IS NULL ORDER BY id;

-- name: deviations_of_position
-- The deviations of a position's buckets during its life, newest first.
SELECT *
FROM deviations
WHERE id IN (
    SELECT d.id
    FROM synthetic_positions p
    JOIN position_components c ON c.position_id = p.id
    JOIN deviations d
      ON (d.account_id, d.category, d.symbol) = (p.account_id, c.category, c.place)
    WHERE p.id = $1 AND sits_in(c, d.category, d.symbol, d.position_idx)
      AND (d.ended_at IS NULL OR d.ended_at >= p.opened_at)
      AND (p.closed_at IS NULL OR d.first_seen <= p.closed_at))
ORDER BY id DESC
LIMIT $2;
