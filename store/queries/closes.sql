-- name: lock_position_of_user
-- Lock a user's position: every change of a close starts here, so that locks have one order.
SELECT p.id, p.status, p.account_id
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
WHERE p.id = $1 AND a.user_id = $2
FOR NO KEY UPDATE OF p;

-- name: lock_position_of_close
-- Lock the position that a close is about.
SELECT p.id, p.account_id
FROM synthetic_positions p
JOIN close_requests r ON r.position_id = p.id
WHERE r.id = $1
FOR NO KEY UPDATE OF p;

-- name: lock_position_of_component
-- Lock the position that a component belongs to.
SELECT p.id
FROM synthetic_positions p
JOIN position_components c ON c.position_id = p.id
WHERE c.id = $1
FOR NO KEY UPDATE OF p;

-- name: idempotency_key
-- What a user's key stands for, unless it is too old.
SELECT fingerprint, position_id, close_id
FROM idempotency_keys
WHERE user_id = $1 AND key = $2 AND created_at > $3;

-- name: keep_idempotency_key
-- Bind a key to its answer, in place of one that is too old; no row if the key is taken.
INSERT INTO idempotency_keys AS held (user_id, key, fingerprint, position_id, close_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (user_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, position_id = excluded.position_id,
    close_id = excluded.close_id, created_at = excluded.created_at
WHERE held.created_at <= $7
RETURNING close_id;

-- name: open_request_of_position
-- The one close of a position that has not ended.
SELECT id FROM close_requests WHERE position_id = $1 AND ended_at IS NULL;

-- name: insert_request
-- Accept a close.
INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at)
VALUES ($1, $2, 'ACCEPTED', $3, $4)
RETURNING id;

-- name: insert_legs
-- Freeze what each component has open at acceptance. One with nothing open takes no part: its
-- bucket may be the trader's, or gone, and must not stand in the way of the others.
INSERT INTO close_legs (close_id, component_id, open_at_acceptance)
SELECT $1, id, expected_quantity - closed_quantity
FROM position_components
WHERE position_id = $2 AND expected_quantity > closed_quantity;

-- name: mark_closing
-- The position of an accepted close.
UPDATE synthetic_positions SET status = 'CLOSING' WHERE id = $1;

-- name: request
-- One close request, a row per leg.
SELECT * FROM close_request_legs WHERE id = $1 ORDER BY leg_ordinal;

-- name: last_requests
-- The newest close request of each of the positions, a row per leg.
SELECT legs.*
FROM unnest($1::uuid[]) AS wanted (position_id)
CROSS JOIN LATERAL (
    SELECT r.id FROM close_requests r
    WHERE r.position_id = wanted.position_id
    ORDER BY r.ordinal DESC
    LIMIT 1
) newest
JOIN close_request_legs legs ON legs.id = newest.id
ORDER BY legs.ordinal, legs.leg_ordinal;

-- name: requests_of_position
-- A position's newest close requests, newest first, a row per leg.
SELECT legs.*
FROM (
    SELECT id FROM close_requests WHERE position_id = $1 ORDER BY ordinal DESC LIMIT $2
) newest
JOIN close_request_legs legs ON legs.id = newest.id
ORDER BY legs.ordinal DESC, legs.leg_ordinal;

-- name: owners_of_orders
-- The positions of our own close orders, by link id.
SELECT o.link_id, p.id, p.name
FROM close_orders o
JOIN close_requests r ON r.id = o.close_id
JOIN synthetic_positions p ON p.id = r.position_id
WHERE o.link_id = ANY ($1::text[]);

-- name: open_requests
-- Every close that has not ended, oldest first, a row per leg.
SELECT * FROM close_request_legs WHERE ended_at IS NULL ORDER BY ordinal, leg_ordinal;

-- name: close_orders
-- The orders of a close, in the order they were planned.
SELECT * FROM close_orders WHERE close_id = $1 ORDER BY ordinal;

-- name: move_request
-- Move an open request on; no row if it is not in the state it was thought to be in.
UPDATE close_requests SET state = $3, detail = $4
WHERE id = $1 AND state = $2
RETURNING id;

-- name: insert_order
-- A close order, ahead of its sending.
INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol, position_idx,
                          attempt, link_id, side, quantity, state, order_id, signed_at, dies_at,
                          status, detail, leader_epoch, created_at, settle_coin)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20);

-- name: save_order
-- What is known of an order now; what is known once is never forgotten.
UPDATE close_orders
SET state = $2,
    order_id = coalesce($3, order_id),
    signed_at = coalesce($4, signed_at),
    dies_at = coalesce($5, dies_at),
    average_price = coalesce(average_price, $6),
    status = coalesce($7, status),
    detail = coalesce($8, detail),
    leader_epoch = $9
WHERE id = $1
RETURNING id;

-- name: end_request
-- End a request; no row if it is not in the state it was thought to be in.
UPDATE close_requests SET state = $3, code = $4, detail = $5, ended_at = $6
WHERE id = $1 AND state = $2
RETURNING id;

-- name: cancel_request
-- End a request that has sent nothing; no row otherwise.
UPDATE close_requests r SET state = 'CANCELLED', code = 'cancelled', ended_at = $2
WHERE r.id = $1
  AND r.state IN ('ACCEPTED', 'WAITING', 'PREFLIGHT')
  AND NOT EXISTS (SELECT FROM close_orders o WHERE o.close_id = r.id)
RETURNING id;

-- name: write_legs
-- How each leg of a close ended.
UPDATE close_legs l
SET outcome = v.outcome, filled = v.filled, average_price = v.average_price, detail = v.detail
FROM unnest($2::uuid[], $3::text[], $4::numeric[], $5::numeric[], $6::text[])
    AS v (component_id, outcome, filled, average_price, detail)
WHERE l.close_id = $1 AND l.component_id = v.component_id
RETURNING l.component_id;

-- name: add_unassigned
-- Add signed quantities to what is unassigned in their buckets.
INSERT INTO unassigned_quantities AS held (account_id, category, symbol, position_idx, quantity)
SELECT v.account_id, v.category, v.symbol, v.position_idx, v.quantity
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::numeric[])
    AS v (account_id, category, symbol, position_idx, quantity)
ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, category, symbol, position_idx)
DO UPDATE SET quantity = held.quantity + excluded.quantity;

-- name: mark_closed
-- A position whose close was verified: nothing of it is open, so nothing is unrealized.
UPDATE synthetic_positions
SET status = 'CLOSED', closed_at = $2, is_altered = false, unrealized_pnl = 0, pnl_at = $2
WHERE id = $1 AND status <> 'CLOSED';

-- name: mark_active_again
-- A position whose close came to nothing or not to its end.
UPDATE synthetic_positions SET status = 'ACTIVE' WHERE id = $1 AND status <> 'CLOSED';
