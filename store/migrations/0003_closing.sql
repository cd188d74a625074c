-- Closing in full: sets, fractions, spot, orders of several legs, legs closed against each other.

-- --- requests ------------------------------------------------------------------------------

-- What was said with a close is frozen with it. NaN compares as greater than every bound.
ALTER TABLE close_requests
    ADD COLUMN set_id uuid,
    ADD COLUMN fraction numeric CHECK (fraction > 0 AND fraction <= 1),
    ADD COLUMN slippage numeric CHECK (slippage BETWEEN 0.01 AND 10),
    ADD COLUMN cancel_resting boolean NOT NULL DEFAULT false,
    ADD COLUMN expected_plan text CHECK (length(expected_plan) BETWEEN 1 AND 200);
CREATE INDEX close_requests_set ON close_requests (set_id) WHERE set_id IS NOT NULL;

DROP TRIGGER close_requests_identity ON close_requests;
CREATE TRIGGER close_requests_identity
    BEFORE UPDATE OF id, position_id, requested_by, created_at,
        set_id, fraction, slippage, cancel_resting, expected_plan ON close_requests
    FOR EACH ROW WHEN (
        (OLD.id, OLD.position_id, OLD.requested_by, OLD.created_at, OLD.set_id, OLD.fraction,
         OLD.slippage, OLD.cancel_resting, OLD.expected_plan)
        IS DISTINCT FROM
        (NEW.id, NEW.position_id, NEW.requested_by, NEW.created_at, NEW.set_id, NEW.fraction,
         NEW.slippage, NEW.cancel_resting, NEW.expected_plan))
    EXECUTE FUNCTION refuse();

-- What closes together nets together, and nothing nets across accounts.
CREATE FUNCTION set_is_of_one_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM close_requests r
        JOIN synthetic_positions theirs ON theirs.id = r.position_id
        JOIN synthetic_positions ours ON ours.id = NEW.position_id
        WHERE r.set_id = NEW.set_id AND theirs.account_id <> ours.account_id
    ) THEN
        RAISE EXCEPTION 'a set of closes is of one account'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER close_requests_one_account BEFORE INSERT ON close_requests
    FOR EACH ROW WHEN (NEW.set_id IS NOT NULL) EXECUTE FUNCTION set_is_of_one_account();

-- A key that stands for a set names the first of its closes, too.
ALTER TABLE idempotency_keys ADD COLUMN set_id uuid;

-- --- legs ----------------------------------------------------------------------------------

-- How much of what was open is to be closed. Up to here: all of it.
ALTER TABLE close_legs ADD COLUMN target not_negative;
UPDATE close_legs SET target = open_at_acceptance;
ALTER TABLE close_legs
    ALTER COLUMN target SET NOT NULL,
    ADD CONSTRAINT close_legs_target CHECK (target <= open_at_acceptance);
CREATE TRIGGER close_legs_frozen
    BEFORE UPDATE OF close_id, component_id, open_at_acceptance, target ON close_legs
    FOR EACH ROW WHEN (
        (OLD.close_id, OLD.component_id, OLD.open_at_acceptance, OLD.target)
        IS DISTINCT FROM
        (NEW.close_id, NEW.component_id, NEW.open_at_acceptance, NEW.target))
    EXECUTE FUNCTION refuse();

DROP VIEW close_request_legs;
CREATE VIEW close_request_legs AS
SELECT r.*, p.account_id, l.component_id, l.open_at_acceptance, l.target, l.outcome, l.filled,
       l.average_price, l.detail AS leg_detail, c.ordinal AS leg_ordinal
FROM close_requests r
JOIN synthetic_positions p ON p.id = r.position_id
LEFT JOIN (close_legs l JOIN position_components c ON c.id = l.component_id) ON l.close_id = r.id;

-- --- orders --------------------------------------------------------------------------------

-- For spot `symbol` is the coin that the bucket is named by, and the instrument has one of its own.
-- A spot order can only sell: Bybit has no reduce-only there that would keep a purchase from
-- opening something new.
ALTER TABLE close_orders
    ADD COLUMN instrument_symbol symbol,
    ADD COLUMN slippage numeric CHECK (slippage BETWEEN 0.01 AND 10),
    ADD COLUMN step positive,
    ADD CONSTRAINT close_orders_instrument
        CHECK (category = 'spot' OR instrument_symbol IS NULL OR instrument_symbol = symbol),
    ADD CONSTRAINT close_orders_spot_sells
        CHECK (category <> 'spot' OR (side = 'Sell' AND position_idx = 0));

DROP TRIGGER close_orders_frozen ON close_orders;
CREATE TRIGGER close_orders_frozen BEFORE UPDATE ON close_orders
    FOR EACH ROW WHEN (
        (OLD.id, OLD.close_id, OLD.component_id, OLD.account_id, OLD.category, OLD.symbol,
         OLD.position_idx, OLD.attempt, OLD.link_id, OLD.side, OLD.quantity,
         OLD.instrument_symbol, OLD.slippage, OLD.step)
        IS DISTINCT FROM
        (NEW.id, NEW.close_id, NEW.component_id, NEW.account_id, NEW.category, NEW.symbol,
         NEW.position_idx, NEW.attempt, NEW.link_id, NEW.side, NEW.quantity,
         NEW.instrument_symbol, NEW.slippage, NEW.step)
        OR NEW.filled < OLD.filled)
    EXECUTE FUNCTION refuse();

-- Whose an order is, one row per leg, of however many requests.
CREATE TABLE close_order_parts (
    order_id     uuid NOT NULL REFERENCES close_orders,
    component_id uuid NOT NULL REFERENCES position_components,
    close_id     uuid NOT NULL,
    ordinal      smallint NOT NULL,
    quantity     positive NOT NULL,
    is_light     boolean NOT NULL,
    PRIMARY KEY (order_id, component_id),
    FOREIGN KEY (close_id, component_id) REFERENCES close_legs
);
CREATE INDEX close_order_parts_close ON close_order_parts (close_id);
INSERT INTO close_order_parts (order_id, component_id, close_id, ordinal, quantity, is_light)
SELECT id, component_id, close_id, 1, quantity, false FROM close_orders;

-- An order that is larger than what its legs make of it closes what is not theirs; and one that is
-- planned after the end of a request would never be looked after.
CREATE FUNCTION parts_must_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM close_order_parts p
        JOIN close_orders o ON o.id = p.order_id
        JOIN close_requests r ON r.id = p.close_id
        WHERE p.order_id IN (SELECT order_id FROM added)
        GROUP BY o.id
        HAVING bool_or(r.ended_at IS NOT NULL)
            OR sum(CASE WHEN p.is_light THEN -p.quantity ELSE p.quantity END) <> o.quantity
    ) THEN
        RAISE EXCEPTION 'the parts of an order are not the order, or of a close that has ended'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER close_order_parts_add_up AFTER INSERT ON close_order_parts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION parts_must_add_up();
CREATE TRIGGER close_order_parts_frozen BEFORE UPDATE OR DELETE OR TRUNCATE ON close_order_parts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();

-- No close ends while an order with a part of it may still fill, whoever's order that is.
CREATE OR REPLACE FUNCTION orders_must_be_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM close_orders
        WHERE close_id = NEW.id AND state NOT IN ('TERMINAL', 'ABSENT')
    ) OR EXISTS (
        SELECT FROM close_order_parts p
        JOIN close_orders o ON o.id = p.order_id
        WHERE p.close_id = NEW.id AND o.state NOT IN ('TERMINAL', 'ABSENT')
    ) THEN
        RAISE EXCEPTION 'an order of the close is not settled'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;

-- What each execution closed of each leg. Up to here an order was one leg's alone; what a fill
-- took beyond that leg is among it, as nothing tells the two apart any more.
CREATE TABLE leg_fills (
    account_id   uuid NOT NULL,
    exec_id      text NOT NULL,
    component_id uuid NOT NULL REFERENCES position_components,
    quantity     positive NOT NULL,
    executed_at  timestamptz NOT NULL,
    PRIMARY KEY (account_id, exec_id, component_id),
    FOREIGN KEY (account_id, exec_id) REFERENCES executions
);
CREATE INDEX leg_fills_component ON leg_fills (component_id);
INSERT INTO leg_fills (account_id, exec_id, component_id, quantity, executed_at)
SELECT e.account_id, e.exec_id, o.component_id, e.quantity, e.executed_at
FROM executions e
JOIN close_orders o ON o.id = e.close_order_id;
CREATE TRIGGER leg_fills_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON leg_fills
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();

-- --- legs closed against each other --------------------------------------------------------

CREATE TABLE close_nettings (
    close_id     uuid NOT NULL,
    component_id uuid NOT NULL,
    quantity     positive NOT NULL,
    price        positive NOT NULL,
    settle_coin  coin NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (close_id, component_id),
    FOREIGN KEY (close_id, component_id) REFERENCES close_legs
);
CREATE INDEX close_nettings_component ON close_nettings (component_id);
CREATE TRIGGER close_nettings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON close_nettings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
