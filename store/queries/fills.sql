-- name: components
-- Components by their ids.
SELECT id AS component_id, position_id, category, symbol, side,
       expected_quantity, recorded_quantity, closed_quantity, entry_price, coin
FROM position_components
WHERE id = ANY ($1::uuid[])
ORDER BY ordinal;

-- name: insert_executions
-- Book executions that are not booked yet; only those come back.
INSERT INTO executions (account_id, exec_id, close_order_id, category, symbol, order_id, link_id,
                        side, price, quantity, fee, fee_coin, exec_type, create_type,
                        executed_at, seq)
SELECT $1, v.exec_id, $2, $3, $4, v.order_id, v.link_id, $5, v.price, v.quantity, v.fee,
       v.fee_coin, v.exec_type, v.create_type, v.executed_at, v.seq
FROM unnest($6::text[], $7::text[], $8::text[], $9::numeric[], $10::numeric[], $11::numeric[],
            $12::text[], $13::text[], $14::text[], $15::timestamptz[], $16::bigint[])
    AS v (exec_id, order_id, link_id, price, quantity, fee,
          fee_coin, exec_type, create_type, executed_at, seq)
ORDER BY v.exec_id
ON CONFLICT (account_id, exec_id) DO NOTHING
RETURNING exec_id;

-- name: executions_of_order
-- What an order's executions were booked at.
SELECT quantity, price FROM executions WHERE close_order_id = $1;

-- name: raise_order_fill
-- Raise an order's fill; its average price is that of its own executions.
UPDATE close_orders SET filled = filled + $2, average_price = $3 WHERE id = $1;

-- name: raise_closed_quantities
-- Raise what is closed of components.
UPDATE position_components c SET closed_quantity = c.closed_quantity + v.quantity
FROM unnest($1::uuid[], $2::numeric[]) AS v (id, quantity)
WHERE c.id = v.id;

-- name: insert_leg_fills
-- What executions closed of each leg.
INSERT INTO leg_fills (account_id, exec_id, component_id, quantity, executed_at)
SELECT $1, v.exec_id, v.component_id, v.quantity, v.executed_at
FROM unnest($2::text[], $3::uuid[], $4::numeric[], $5::timestamptz[])
    AS v (exec_id, component_id, quantity, executed_at);

-- name: add_to_booked
-- Add fees paid and P&L realized to what is booked for a position, per coin.
INSERT INTO booked AS sums (position_id, coin, fees, realized_pnl)
SELECT $1, v.coin, v.fees, v.realized_pnl
FROM unnest($2::text[], $3::numeric[], $4::numeric[]) AS v (coin, fees, realized_pnl)
ORDER BY v.coin
ON CONFLICT (position_id, coin) DO UPDATE
SET fees = sums.fees + excluded.fees, realized_pnl = sums.realized_pnl + excluded.realized_pnl;
