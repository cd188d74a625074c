-- name: lock_position_of_user
-- Lock a user's position: every change of a close starts here, so that locks have one order.
SELECT p.id, p.status, p.account_id
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
WHERE p.id = $1 AND a.user_id = $2
FOR NO KEY UPDATE OF p;

-- name: lock_positions_of_user
-- Lock several positions of a user, in the order in which everybody locks them.
SELECT p.id, p.status, p.account_id
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
WHERE p.id = ANY ($1::uuid[]) AND a.user_id = $2
ORDER BY p.id
FOR NO KEY UPDATE OF p;

-- name: lock_positions_of_closes
-- Lock the positions that closes are about.
SELECT p.id, p.account_id, r.id AS close_id
FROM synthetic_positions p
JOIN close_requests r ON r.position_id = p.id
WHERE r.id = ANY ($1::uuid[])
ORDER BY p.id
FOR NO KEY UPDATE OF p;

-- name: closes_of_same_set
-- A user's close and all that were asked for together with it.
SELECT r.id
FROM close_requests named
JOIN synthetic_positions p ON p.id = named.position_id
JOIN accounts a ON a.id = p.account_id
JOIN close_requests r ON r.id = named.id OR r.set_id = named.set_id
WHERE named.id = $1 AND a.user_id = $2
ORDER BY r.ordinal;

-- name: lock_positions_of_order
-- Lock the positions that have a leg in an order.
SELECT p.id
FROM synthetic_positions p
WHERE p.id IN (
    SELECT c.position_id
    FROM close_order_parts part
    JOIN position_components c ON c.id = part.component_id
    WHERE part.order_id = $1)
ORDER BY p.id
FOR NO KEY UPDATE OF p;

-- name: idempotency_key
-- What a user's key stands for, unless it is too old.
SELECT fingerprint, position_id, close_id, set_id
FROM idempotency_keys
WHERE user_id = $1 AND key = $2 AND created_at > $3;

-- name: keep_idempotency_key
-- Bind a key to its answer, in place of one that is too old; no row if the key is taken.
INSERT INTO idempotency_keys AS held
    (user_id, key, fingerprint, position_id, close_id, set_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (user_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, position_id = excluded.position_id,
    close_id = excluded.close_id, set_id = excluded.set_id, created_at = excluded.created_at
WHERE held.created_at <= $8
RETURNING close_id;

-- name: open_requests_of_positions
-- The one close of each position that has not ended.
SELECT id, position_id, set_id
FROM close_requests
WHERE position_id = ANY ($1::uuid[]) AND ended_at IS NULL;

-- name: insert_request
-- Accept a close.
INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at, set_id,
                            fraction, slippage, cancel_resting, expected_plan)
VALUES ($1, $2, 'ACCEPTED', $3, $4, $5, $6, $7, $8, $9)
RETURNING id;

-- name: insert_legs
-- Freeze what each component has open at acceptance, and how much of it is to be closed. One with
-- nothing open takes no part: its bucket may be the trader's, or gone, and must not stand in the way
-- of the others.
INSERT INTO close_legs (close_id, component_id, open_at_acceptance, target)
SELECT $1, id, open, CASE WHEN $3::numeric IS NULL THEN open ELSE trim_scale(open * $3) END
FROM position_components
CROSS JOIN LATERAL (SELECT expected_quantity - closed_quantity AS open) o
WHERE position_id = $2 AND open > 0;

-- name: mark_closing
-- The position of an accepted close.
UPDATE synthetic_positions SET status = 'CLOSING' WHERE id = $1;

-- name: request
-- One close request, a row per leg.
SELECT * FROM close_request_legs WHERE id = $1 ORDER BY leg_ordinal;

-- name: requests_of_set
-- All closes of a set, in the order they were asked for, a row per leg.
SELECT * FROM close_request_legs WHERE set_id = $1 ORDER BY ordinal, leg_ordinal;

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
-- The orders with a part in one of the closes, in the order they were planned.
SELECT o.*, ARRAY(
    SELECT part FROM close_order_parts part WHERE part.order_id = o.id ORDER BY part.ordinal
) AS parts
FROM close_orders o
WHERE o.id IN (SELECT order_id FROM close_order_parts WHERE close_id = ANY ($1::uuid[]))
ORDER BY o.ordinal;

-- name: close_order
-- One order as it stands.
SELECT o.*, ARRAY(
    SELECT part FROM close_order_parts part WHERE part.order_id = o.id ORDER BY part.ordinal
) AS parts
FROM close_orders o
WHERE o.id = $1;

-- name: move_requests
-- Move open requests on: those that are in the state they were thought to be in.
WITH locked AS (
    SELECT id FROM close_requests
    WHERE id = ANY ($1::uuid[]) AND state = $2
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE close_requests r SET state = $3
FROM locked
WHERE r.id = locked.id
RETURNING r.id;

-- name: extend_requests
-- Move the expiry of open requests on, never back.
WITH locked AS (
    SELECT id FROM close_requests
    WHERE id = ANY ($1::uuid[]) AND ended_at IS NULL AND expires_at < $2
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE close_requests r SET expires_at = $2
FROM locked
WHERE r.id = locked.id;

-- name: insert_order
-- A close order, ahead of its sending.
INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol, position_idx,
                          attempt, link_id, side, quantity, state, order_id, signed_at, dies_at,
                          status, detail, leader_epoch, created_at, settle_coin,
                          instrument_symbol, slippage, step)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23);

-- name: insert_order_parts
-- What of an order is whose, in the order given.
INSERT INTO close_order_parts (order_id, component_id, close_id, ordinal, quantity, is_light)
SELECT $1, v.component_id, v.close_id, v.n, v.quantity, v.is_light
FROM unnest($2::uuid[], $3::uuid[], $4::numeric[], $5::boolean[]) WITH ORDINALITY
    AS v (component_id, close_id, quantity, is_light, n);

-- name: save_order
-- What is known of an order now; what is known once is never forgotten. A status takes its own
-- detail with it: what was said of an attempt that was not executed is nothing about a fill.
UPDATE close_orders
SET state = $2,
    order_id = coalesce($3, order_id),
    signed_at = coalesce($4, signed_at),
    dies_at = coalesce($5, dies_at),
    average_price = coalesce(average_price, $6),
    status = coalesce($7, status),
    detail = CASE WHEN $7::text IS NULL THEN coalesce($8, detail) ELSE $8 END,
    leader_epoch = $9
WHERE id = $1
RETURNING id;

-- name: end_request
-- End a request; no row if it is not in the state it was thought to be in.
UPDATE close_requests SET state = $3, code = $4, detail = $5, ended_at = $6
WHERE id = $1 AND state = $2
RETURNING coalesce(fraction, 1) = 1 AS is_whole;

-- name: cancel_requests
-- End requests of which nothing was sent and nothing closed; no row for any other.
WITH locked AS (
    SELECT id FROM close_requests r
    WHERE id = ANY ($1::uuid[])
      AND state IN ('ACCEPTED', 'WAITING', 'PREFLIGHT')
      AND NOT EXISTS (SELECT FROM close_order_parts p WHERE p.close_id = r.id)
      AND NOT EXISTS (SELECT FROM close_nettings n WHERE n.close_id = r.id)
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE close_requests r SET state = 'CANCELLED', code = 'cancelled', ended_at = $2
FROM locked
WHERE r.id = locked.id
RETURNING r.id;

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
-- End a position whose close was verified, if all of it was to be closed or nothing of it is open.
-- What of a whole close is still open was no longer there. No row otherwise.
UPDATE synthetic_positions p
SET status = 'CLOSED', closed_at = $2, is_altered = false, unrealized_pnl = 0, pnl_at = $2
WHERE p.id = $1 AND p.status <> 'CLOSED'
  AND ($3 OR NOT EXISTS (
    SELECT FROM position_components c
    WHERE c.position_id = p.id AND c.closed_quantity < c.expected_quantity))
RETURNING p.id;

-- name: mark_active_again
-- A position whose close came to nothing or not to its end.
UPDATE synthetic_positions SET status = 'ACTIVE' WHERE id = $1 AND status <> 'CLOSED';

-- name: nettings
-- The legs of closes that were closed against each other.
SELECT n.close_id, n.component_id, n.quantity, n.price, n.settle_coin
FROM close_nettings n
JOIN position_components c ON c.id = n.component_id
WHERE n.close_id = ANY ($1::uuid[])
ORDER BY n.at, c.ordinal;

-- name: insert_nettings
-- Book nettings of closes that have not ended, once per close and leg; only new ones come back.
INSERT INTO close_nettings AS n (close_id, component_id, quantity, price, settle_coin)
SELECT v.close_id, v.component_id, v.quantity, v.price, v.settle_coin
FROM unnest($1::uuid[], $2::uuid[], $3::numeric[], $4::numeric[], $5::text[])
    AS v (close_id, component_id, quantity, price, settle_coin)
JOIN close_requests r ON r.id = v.close_id AND r.ended_at IS NULL
ORDER BY v.close_id, v.component_id
ON CONFLICT (close_id, component_id) DO NOTHING
RETURNING n.close_id, n.component_id, n.at;
