-- Evidence: why a bucket deviates and how it was resolved, money per coin, P&L over time.

CREATE DOMAIN coin AS text CHECK (VALUE ~ '^\S{1,32}$');

-- --- components ----------------------------------------------------------------------------

-- A resolve action rewrites expected_quantity, down to 0; recorded_quantity keeps the original.
ALTER TABLE position_components
    ALTER COLUMN expected_quantity TYPE not_negative,
    ADD COLUMN recorded_quantity positive,
    ADD COLUMN coin coin,
    ADD CONSTRAINT position_components_coin CHECK (coin IS NULL OR category = 'spot');
UPDATE position_components SET recorded_quantity = expected_quantity;
-- Where the component sits (daemon/domain/buckets.py, place_of): for spot the coin of its wallet
-- balance, and nothing as long as that is not known.
ALTER TABLE position_components
    ALTER COLUMN recorded_quantity SET NOT NULL,
    ADD COLUMN place text
        GENERATED ALWAYS AS (CASE WHEN category = 'spot' THEN coin ELSE symbol END) STORED;
DROP INDEX position_components_symbol;
CREATE INDEX position_components_place ON position_components (category, place);
CREATE INDEX position_components_coinless ON position_components (symbol)
    WHERE category = 'spot' AND coin IS NULL;

-- Whoever inserts a component names its quantity once, and it is above zero.
CREATE FUNCTION component_as_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_quantity := NEW.expected_quantity;
    RETURN NEW;
END $$;
CREATE TRIGGER position_components_as_recorded BEFORE INSERT ON position_components
    FOR EACH ROW EXECUTE FUNCTION component_as_recorded();
CREATE TRIGGER position_components_recorded_once BEFORE UPDATE OF recorded_quantity
    ON position_components
    FOR EACH ROW WHEN (NEW.recorded_quantity <> OLD.recorded_quantity) EXECUTE FUNCTION refuse();
CREATE TRIGGER position_components_coin_once BEFORE UPDATE OF coin ON position_components
    FOR EACH ROW WHEN (OLD.coin IS NOT NULL AND NEW.coin IS DISTINCT FROM OLD.coin)
    EXECUTE FUNCTION refuse();

-- A statement that finds no coin to note tells nobody: the daemon, told, would look again for
-- coins to note.
DROP TRIGGER position_components_tell ON position_components;
CREATE TRIGGER position_components_tell AFTER INSERT OR DELETE
    OR UPDATE OF expected_quantity, closed_quantity, entry_price ON position_components
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER position_components_tell_coin AFTER UPDATE OF coin ON position_components
    FOR EACH ROW WHEN (NEW.coin IS DISTINCT FROM OLD.coin) EXECUTE FUNCTION tell_of_changes();

-- Whether a component sits in a bucket; one whose coin is not known may sit in any coin's.
-- Hedge mode keeps longs under positionIdx 1 and shorts under 2.
CREATE FUNCTION sits_in(leg position_components, category text, symbol text, idx smallint)
RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN leg.category = category
    AND coalesce(leg.place, symbol) = symbol
    AND idx IN (0, CASE leg.side WHEN 'Buy' THEN 1 ELSE 2 END);

-- --- money per coin ------------------------------------------------------------------------

-- Exact sums: fees > 0 were paid, funding > 0 was received.
CREATE TABLE booked (
    position_id  uuid NOT NULL REFERENCES synthetic_positions,
    coin         coin NOT NULL,
    fees         finite NOT NULL DEFAULT 0,
    funding      finite NOT NULL DEFAULT 0,
    realized_pnl finite NOT NULL DEFAULT 0,
    PRIMARY KEY (position_id, coin)
) WITH (fillfactor = 70);

-- Up to here one sum per position was kept, whatever the coins, and only linear legs were closed,
-- whose fees are in the coin that they settle in. What the executions do not explain (a fill
-- beyond what was open realized nothing) goes to the position's first coin.
WITH executed AS (
    SELECT c.position_id, e.fee_coin AS coin, sum(e.fee) AS fees, 0 AS funding,
           sum(CASE c.side WHEN 'Buy' THEN e.quantity ELSE -e.quantity END
               * (e.price - c.entry_price)) AS realized_pnl
    FROM executions e
    JOIN close_orders o ON o.id = e.close_order_id
    JOIN position_components c ON c.id = o.component_id
    WHERE e.fee_coin <> ''
    GROUP BY c.position_id, e.fee_coin
), funded AS (
    SELECT position_id, coin, 0 AS fees, sum(amount) AS funding, 0 AS realized_pnl
    FROM funding
    GROUP BY position_id, coin
), explained AS (
    SELECT position_id, coin, sum(fees) AS fees, sum(funding) AS funding,
           sum(realized_pnl) AS realized_pnl
    FROM (SELECT * FROM executed UNION ALL SELECT * FROM funded) parts
    GROUP BY position_id, coin
), rest AS (
    SELECT p.id AS position_id, coalesce(min(x.coin), 'USDT') AS coin,
           p.fees - coalesce(sum(x.fees), 0) AS fees,
           p.funding - coalesce(sum(x.funding), 0) AS funding,
           p.realized_pnl - coalesce(sum(x.realized_pnl), 0) AS realized_pnl
    FROM synthetic_positions p
    LEFT JOIN explained x ON x.position_id = p.id
    GROUP BY p.id
)
INSERT INTO booked (position_id, coin, fees, funding, realized_pnl)
SELECT position_id, coin, trim_scale(sum(fees)), trim_scale(sum(funding)),
       trim_scale(sum(realized_pnl))
FROM (SELECT * FROM explained UNION ALL SELECT * FROM rest) parts
GROUP BY position_id, coin
HAVING sum(fees) <> 0 OR sum(funding) <> 0 OR sum(realized_pnl) <> 0;

ALTER TABLE synthetic_positions
    DROP COLUMN fees,
    DROP COLUMN funding,
    DROP COLUMN realized_pnl;

-- What an order's leg settles in, where whoever planned it knew.
ALTER TABLE close_orders ADD COLUMN settle_coin coin;
CREATE INDEX close_orders_component ON close_orders (component_id);

-- Up to when an account's funding is booked without a gap.
CREATE TABLE funding_reads (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    read_until timestamptz NOT NULL
);

-- Positions as they are read: one row per component (or one without).
CREATE VIEW position_legs AS
SELECT p.id, p.account_id, p.name, p.external_id, p.note, p.tags, p.status, p.is_altered,
       p.unrealized_pnl, p.pnl_at, p.verified_at, p.opened_at, p.closed_at,
       a.user_id, a.environment,
       ARRAY(SELECT b FROM booked b WHERE b.position_id = p.id ORDER BY b.coin) AS booked,
       c.id AS component_id, c.ordinal, c.category, c.symbol, c.side, c.expected_quantity,
       c.recorded_quantity, c.closed_quantity, c.entry_price, c.coin
FROM synthetic_positions p
JOIN accounts a ON a.id = p.account_id
LEFT JOIN position_components c ON c.position_id = p.id;

-- --- deviations ----------------------------------------------------------------------------

ALTER TABLE deviations
    ADD COLUMN cause_kind text CHECK (cause_kind ~ '^[a-z][a-z-]*$'),
    ADD COLUMN cause_quantity not_negative,
    ADD COLUMN cause_price not_negative,
    ADD COLUMN cause_at timestamptz,
    ADD COLUMN cause_order_ids text[] NOT NULL DEFAULT '{}',
    ADD COLUMN cause_while_away boolean NOT NULL DEFAULT false,
    ADD COLUMN resolution text CHECK (resolution IN ('accept', 'rebase', 'mark_closed')),
    ADD COLUMN resolved_by uuid REFERENCES users,
    -- A place that every sweep writes to: room for it within the page.
    SET (fillfactor = 70);
UPDATE deviations SET cause_kind = 'unknown' WHERE cause IS NOT NULL;
ALTER TABLE deviations
    ADD CONSTRAINT deviations_cause CHECK ((cause IS NULL) = (cause_kind IS NULL)),
    ADD CONSTRAINT deviations_resolved CHECK (
        (resolution IS NULL) = (resolved_by IS NULL)
        AND (resolution IS NULL OR ended_at IS NOT NULL));
CREATE INDEX deviations_place ON deviations (account_id, category, symbol);

-- A deviation as the journal tells of it.
CREATE FUNCTION deviation_facts(d deviations) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'deviation', d.id, 'category', d.category, 'symbol', d.symbol,
    'position_idx', d.position_idx, 'kind', d.kind, 'expected', d.expected::text,
    'actual', d.actual::text, 'difference', d.difference::text, 'cause', d.cause,
    'cause_kind', d.cause_kind, 'first_seen', d.first_seen, 'resolution', d.resolution);
CREATE INDEX events_deviation ON events (((data ->> 'deviation')::bigint))
    WHERE data ? 'deviation';

-- --- P&L over time -------------------------------------------------------------------------

-- Nothing wrote to it so far; a row of somebody's own has no currency to be told.
ALTER TABLE pnl_history
    ADD COLUMN net_pnl finite,
    ADD COLUMN currency coin NOT NULL DEFAULT 'USD';
ALTER TABLE pnl_history
    ALTER COLUMN currency DROP DEFAULT,
    -- Thousands of rows come each minute and most go again within days: small vacuums, often.
    SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02,
         autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- Thinning goes through it by age.
CREATE INDEX pnl_history_at ON pnl_history (at);

-- Up to when the history is thinned to one point a step.
CREATE TABLE pnl_thinning (
    step       interval PRIMARY KEY,
    done_until timestamptz NOT NULL
);
