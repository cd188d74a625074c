-- name: funding_claims
-- What the components in a symbol had open at a time, of positions that were open then.
-- What was closed later is added back, and so is what later changes of the record took away.
SELECT c.id AS component_id, c.position_id, c.side,
       c.expected_quantity - coalesce(changed.quantity, 0)
           - coalesce(filled.quantity, 0) - coalesce(netted.quantity, 0) AS open
FROM synthetic_positions p
JOIN position_components c ON c.position_id = p.id
LEFT JOIN LATERAL (
    SELECT sum((leg ->> 'after')::numeric - (leg ->> 'before')::numeric) AS quantity
    FROM events e
    CROSS JOIN jsonb_array_elements(e.data -> 'components') AS leg
    WHERE e.position_id = p.id AND e.kind IN ('resolved', 'close-done') AND e.at > $4
      AND (leg ->> 'component_id')::uuid = c.id
) changed ON true
LEFT JOIN LATERAL (
    SELECT sum(f.quantity) AS quantity
    FROM leg_fills f
    WHERE f.component_id = c.id AND f.executed_at <= $4
) filled ON true
LEFT JOIN LATERAL (
    SELECT sum(n.quantity) AS quantity
    FROM close_nettings n
    WHERE n.component_id = c.id AND n.at <= $4
) netted ON true
WHERE p.account_id = $1 AND c.category = $2 AND c.place = $3
  AND p.opened_at <= $4 AND (p.status <> 'CLOSED' OR p.closed_at > $4)
ORDER BY c.ordinal;

-- name: book_funding
-- Book the shares of a payment that are not booked yet, and raise the sums of their positions.
WITH new AS (
    INSERT INTO funding (account_id, exec_id, position_id, category, symbol, amount, coin, paid_at)
    SELECT $1, $2, v.position_id, $3, $4, v.amount, $5, $6
    FROM unnest($7::uuid[], $8::numeric[]) AS v (position_id, amount)
    ORDER BY v.position_id
    ON CONFLICT (account_id, exec_id, position_id) DO NOTHING
    RETURNING position_id, coin, amount
)
INSERT INTO booked AS sums (position_id, coin, funding)
SELECT position_id, coin, amount
FROM new
ORDER BY position_id
ON CONFLICT (position_id, coin) DO UPDATE SET funding = sums.funding + excluded.funding
RETURNING position_id;

-- name: funding_read_until
-- Up to when an account's funding is booked without a gap.
SELECT read_until FROM funding_reads WHERE account_id = $1;

-- name: note_funding_read
-- What is read once stays read.
INSERT INTO funding_reads AS noted (account_id, read_until)
VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE
SET read_until = greatest(noted.read_until, excluded.read_until);
