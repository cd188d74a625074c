-- The first schema. What must never happen is forbidden here, whoever writes.

-- NaN and the infinities are valid numerics, and NaN compares as greater than everything, so that
-- a plain `> 0` lets it through. These domains do not.
CREATE DOMAIN finite AS numeric CHECK (VALUE > '-Infinity' AND VALUE < 'Infinity');
CREATE DOMAIN not_negative AS numeric CHECK (VALUE >= 0 AND VALUE < 'Infinity');
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0 AND VALUE < 'Infinity');
CREATE DOMAIN category AS text CHECK (VALUE IN ('linear', 'inverse', 'option', 'spot'));
CREATE DOMAIN side AS text CHECK (VALUE IN ('Buy', 'Sell'));
-- Bybit lists symbols in other scripts than Latin, too.
CREATE DOMAIN symbol AS text CHECK (VALUE ~ '^\S+$' AND length(VALUE) <= 64);
CREATE DOMAIN position_idx AS smallint CHECK (VALUE BETWEEN 0 AND 2);
CREATE DOMAIN token_hash AS bytea CHECK (octet_length(VALUE) = 32);

-- --- people --------------------------------------------------------------------------------

CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username      text NOT NULL CHECK (length(username) BETWEEN 1 AND 64),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
-- Two people whose names differ by case only would be taken for one another.
CREATE UNIQUE INDEX users_username ON users (lower(username));

CREATE TABLE sessions (
    token_hash token_hash PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CHECK (expires_at > created_at)
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    label        text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    scope        text NOT NULL CHECK (scope IN ('read', 'trade')),
    token_hash   token_hash NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);

CREATE TABLE sign_in_tickets (
    ticket_hash token_hash PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL
);

-- --- accounts ------------------------------------------------------------------------------

-- A removed account loses its credentials and keeps its row: closed positions and the journal
-- refer to it for ever.
CREATE TABLE accounts (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid NOT NULL REFERENCES users,
    label         text NOT NULL CHECK (length(label) BETWEEN 1 AND 100),
    environment   text NOT NULL CHECK (environment IN ('mainnet', 'testnet', 'demo', 'paper')),
    api_key       text NOT NULL,
    sealed_secret bytea,
    seal_key_id   text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    removed_at    timestamptz,
    CONSTRAINT accounts_secret_until_removed CHECK (
        (removed_at IS NULL) = (sealed_secret IS NOT NULL)
        AND (sealed_secret IS NULL) = (seal_key_id IS NULL)
    )
);
CREATE UNIQUE INDEX accounts_label ON accounts (user_id, label) WHERE removed_at IS NULL;
-- The same key twice would be two accounts that share one set of positions: each would call the
-- other's holdings a deviation.
CREATE UNIQUE INDEX accounts_key ON accounts (environment, api_key) WHERE removed_at IS NULL;

-- --- positions -----------------------------------------------------------------------------

-- unrealized_pnl, pnl_at, verified_at and is_altered change all the time and are in no index, so
-- that their updates stay within the page (HOT) where the fillfactor leaves room for them.
CREATE TABLE synthetic_positions (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id     uuid NOT NULL REFERENCES accounts,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    external_id    text CHECK (length(external_id) BETWEEN 1 AND 200),
    note           text NOT NULL DEFAULT '',
    tags           text[] NOT NULL DEFAULT '{}',
    status         text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'CLOSING', 'CLOSED')),
    is_altered     boolean NOT NULL DEFAULT false,
    unrealized_pnl finite,
    pnl_at         timestamptz,
    verified_at    timestamptz,
    fees           finite NOT NULL DEFAULT 0,
    funding        finite NOT NULL DEFAULT 0,
    realized_pnl   finite NOT NULL DEFAULT 0,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz,
    UNIQUE (account_id, external_id),
    CONSTRAINT synthetic_positions_closed_at CHECK ((status = 'CLOSED') = (closed_at IS NOT NULL)),
    CHECK (unrealized_pnl IS NULL OR pnl_at IS NOT NULL)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX synthetic_positions_open ON synthetic_positions (account_id)
    WHERE status <> 'CLOSED';
CREATE INDEX synthetic_positions_closed ON synthetic_positions (account_id, closed_at DESC)
    WHERE status = 'CLOSED';

-- One component per instrument: two of them would net or double on Bybit and no fill could be
-- told to belong to the one or the other. A short spot leg cannot exist: Bybit has no reduce-only
-- for spot, so that closing it could open something new.
CREATE TABLE position_components (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    ordinal           bigint GENERATED ALWAYS AS IDENTITY,
    position_id       uuid NOT NULL REFERENCES synthetic_positions,
    category          category NOT NULL,
    symbol            symbol NOT NULL,
    side              side NOT NULL,
    expected_quantity positive NOT NULL,
    closed_quantity   not_negative NOT NULL DEFAULT 0,
    entry_price       positive NOT NULL,
    CONSTRAINT position_components_instrument UNIQUE (position_id, category, symbol),
    CONSTRAINT position_components_closed CHECK (closed_quantity <= expected_quantity),
    CONSTRAINT position_components_spot_long CHECK (category <> 'spot' OR side = 'Buy')
);
CREATE INDEX position_components_symbol ON position_components (category, symbol);

-- Signed. Spot has none: a wallet's surplus is the trader's.
CREATE TABLE unassigned_quantities (
    account_id   uuid NOT NULL REFERENCES accounts,
    category     category NOT NULL CHECK (category <> 'spot'),
    symbol       symbol NOT NULL,
    position_idx position_idx NOT NULL,
    quantity     finite NOT NULL,
    PRIMARY KEY (account_id, category, symbol, position_idx)
);

CREATE TABLE deviations (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES accounts,
    category      category NOT NULL,
    symbol        symbol NOT NULL,
    position_idx  position_idx NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('missing', 'surplus', 'flipped')),
    expected      finite NOT NULL,
    actual        finite NOT NULL,
    difference    numeric GENERATED ALWAYS AS (actual - expected) STORED,
    cause         text,
    first_seen    timestamptz NOT NULL,
    last_verified timestamptz NOT NULL,
    ended_at      timestamptz,
    CHECK (actual <> expected)
);
CREATE UNIQUE INDEX deviations_one_open ON deviations (account_id, category, symbol, position_idx)
    WHERE ended_at IS NULL;

-- --- closing -------------------------------------------------------------------------------

CREATE TABLE close_requests (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    ordinal      bigint GENERATED ALWAYS AS IDENTITY,
    position_id  uuid NOT NULL REFERENCES synthetic_positions,
    requested_by uuid NOT NULL REFERENCES users,
    state        text NOT NULL CHECK (state IN (
        'ACCEPTED', 'WAITING', 'PREFLIGHT', 'SENDING', 'SETTLING', 'VERIFYING',
        'DONE', 'FAILED', 'CANCELLED')),
    code         text,
    detail       text,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT close_requests_ended_at CHECK (
        (state IN ('DONE', 'FAILED', 'CANCELLED')) = (ended_at IS NOT NULL))
);
-- However many people press the button, and however often: one close at a time.
CREATE UNIQUE INDEX close_requests_one_open ON close_requests (position_id)
    WHERE ended_at IS NULL;
CREATE INDEX close_requests_newest ON close_requests (position_id, ordinal DESC);

-- What each component had open when the close was accepted, and how it ended.
CREATE TABLE close_legs (
    close_id           uuid NOT NULL REFERENCES close_requests,
    component_id       uuid NOT NULL REFERENCES position_components,
    open_at_acceptance not_negative NOT NULL,
    outcome            text CHECK (outcome IN (
        'flat', 'dust', 'shortfall', 'residual', 'rejected', 'unknown')),
    filled             not_negative,
    average_price      positive,
    detail             text,
    PRIMARY KEY (close_id, component_id)
);

-- Requests as they are read: one row per leg (or one without), legs as recorded.
CREATE VIEW close_request_legs AS
SELECT r.*, p.account_id, l.component_id, l.open_at_acceptance, l.outcome, l.filled,
       l.average_price, l.detail AS leg_detail, c.ordinal AS leg_ordinal
FROM close_requests r
JOIN synthetic_positions p ON p.id = r.position_id
LEFT JOIN (close_legs l JOIN position_components c ON c.id = l.component_id) ON l.close_id = r.id;

CREATE TABLE close_orders (
    id            uuid PRIMARY KEY,
    ordinal       bigint GENERATED ALWAYS AS IDENTITY,
    close_id      uuid NOT NULL REFERENCES close_requests,
    component_id  uuid NOT NULL REFERENCES position_components,
    account_id    uuid NOT NULL REFERENCES accounts,
    category      category NOT NULL,
    symbol        symbol NOT NULL,
    position_idx  position_idx NOT NULL,
    attempt       integer NOT NULL CHECK (attempt > 0),
    link_id       text NOT NULL UNIQUE CHECK (link_id ~ '^[A-Za-z0-9_-]{1,36}$'),
    side          side NOT NULL,
    quantity      positive NOT NULL,
    state         text NOT NULL CHECK (state IN (
        'PLANNED', 'SENT', 'ACKED', 'UNKNOWN', 'TERMINAL', 'ABSENT')),
    order_id      text,
    signed_at     timestamptz,
    dies_at       timestamptz,
    filled        not_negative NOT NULL DEFAULT 0,
    average_price positive,
    status        text,
    detail        text,
    leader_epoch  bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    CHECK ((signed_at IS NULL) = (dies_at IS NULL)),
    CHECK (dies_at > signed_at),
    -- An order that left this process was signed before.
    CHECK (state NOT IN ('SENT', 'ACKED') OR signed_at IS NOT NULL)
);
CREATE INDEX close_orders_close ON close_orders (close_id);

-- The fills of our own orders. No foreign order is booked here, so every row has its order.
CREATE TABLE executions (
    account_id     uuid NOT NULL REFERENCES accounts,
    exec_id        text NOT NULL,
    close_order_id uuid NOT NULL REFERENCES close_orders,
    category       category NOT NULL,
    symbol         symbol NOT NULL,
    order_id       text NOT NULL,
    link_id        text NOT NULL,
    side           side NOT NULL,
    price          positive NOT NULL,
    quantity       positive NOT NULL,
    fee            finite NOT NULL,
    fee_coin       text NOT NULL,
    exec_type      text NOT NULL,
    create_type    text NOT NULL,
    executed_at    timestamptz NOT NULL,
    seq            bigint,
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, exec_id)
);
CREATE INDEX executions_order ON executions (close_order_id);

-- A funding payment of a bucket, split among the positions that share it.
CREATE TABLE funding (
    account_id  uuid NOT NULL REFERENCES accounts,
    exec_id     text NOT NULL,
    position_id uuid NOT NULL REFERENCES synthetic_positions,
    category    category NOT NULL,
    symbol      symbol NOT NULL,
    amount      finite NOT NULL,
    coin        text NOT NULL,
    paid_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, exec_id, position_id)
);
CREATE INDEX funding_position ON funding (position_id, paid_at);

CREATE TABLE pnl_history (
    position_id    uuid NOT NULL REFERENCES synthetic_positions,
    at             timestamptz NOT NULL,
    unrealized_pnl finite NOT NULL,
    PRIMARY KEY (position_id, at)
);

-- A key stands for one answer to one user; rows older than a day are overwritten.
CREATE TABLE idempotency_keys (
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint text NOT NULL,
    position_id uuid NOT NULL REFERENCES synthetic_positions,
    close_id    uuid NOT NULL REFERENCES close_requests,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

-- --- the journal and the switches ----------------------------------------------------------

-- Who did what, and what changed, for ever.
CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    kind        text NOT NULL CHECK (kind ~ '^[a-z][a-z-]*$'),
    account_id  uuid REFERENCES accounts,
    position_id uuid REFERENCES synthetic_positions,
    close_id    uuid REFERENCES close_requests,
    actor       uuid REFERENCES users,
    data        jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_position ON events (position_id, id DESC) WHERE position_id IS NOT NULL;
CREATE INDEX events_account ON events (account_id, id DESC) WHERE account_id IS NOT NULL;

CREATE TABLE switches (
    name       text PRIMARY KEY CHECK (name IN ('trading-paused')),
    is_on      boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO switches (name, is_on) VALUES ('trading-paused', false);

-- One row: the epoch of whoever took the trading lock last.
CREATE TABLE leadership (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO leadership (epoch) VALUES (0);

-- --- guards --------------------------------------------------------------------------------

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: % is not allowed', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END $$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER executions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON executions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER funding_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON funding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER close_orders_kept BEFORE DELETE OR TRUNCATE ON close_orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER close_requests_kept BEFORE DELETE OR TRUNCATE ON close_requests
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();

-- A position that ended stays ended, and belongs to one account from the first to the last day.
CREATE TRIGGER synthetic_positions_ends_once BEFORE UPDATE OF status ON synthetic_positions
    FOR EACH ROW WHEN (OLD.status = 'CLOSED' AND NEW.status <> 'CLOSED')
    EXECUTE FUNCTION refuse();
CREATE TRIGGER synthetic_positions_one_account BEFORE UPDATE OF id, account_id
    ON synthetic_positions
    FOR EACH ROW WHEN ((OLD.id, OLD.account_id) IS DISTINCT FROM (NEW.id, NEW.account_id))
    EXECUTE FUNCTION refuse();

CREATE FUNCTION account_must_be_live() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone timestamptz;
BEGIN
    -- The lock makes this wait for a removal that is under way, and see its outcome. A condition
    -- in the WHERE would be judged before the wait.
    SELECT removed_at INTO gone FROM accounts WHERE id = NEW.account_id FOR KEY SHARE;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'the account was removed'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER synthetic_positions_live_account BEFORE INSERT ON synthetic_positions
    FOR EACH ROW EXECUTE FUNCTION account_must_be_live();

CREATE FUNCTION position_must_be_active() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    present text;
BEGIN
    -- A close counts the legs when it is accepted; the lock puts one of the two first.
    SELECT status INTO present FROM synthetic_positions WHERE id = NEW.position_id FOR SHARE;
    IF present <> 'ACTIVE' THEN
        RAISE EXCEPTION 'the position is closing or closed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER position_components_while_active BEFORE INSERT ON position_components
    FOR EACH ROW EXECUTE FUNCTION position_must_be_active();

-- What our fills closed cannot become unclosed, and a component cannot turn into another one.
CREATE TRIGGER position_components_closed_only_grows BEFORE UPDATE OF closed_quantity
    ON position_components
    FOR EACH ROW WHEN (NEW.closed_quantity < OLD.closed_quantity) EXECUTE FUNCTION refuse();
CREATE TRIGGER position_components_identity
    BEFORE UPDATE OF id, position_id, category, symbol, side ON position_components
    FOR EACH ROW WHEN (
        (OLD.id, OLD.position_id, OLD.category, OLD.symbol, OLD.side)
        IS DISTINCT FROM (NEW.id, NEW.position_id, NEW.category, NEW.symbol, NEW.side))
    EXECUTE FUNCTION refuse();

CREATE TRIGGER close_requests_end_once BEFORE UPDATE ON close_requests
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION refuse();
CREATE TRIGGER close_requests_identity
    BEFORE UPDATE OF id, position_id, requested_by, created_at ON close_requests
    FOR EACH ROW WHEN (
        (OLD.id, OLD.position_id, OLD.requested_by, OLD.created_at)
        IS DISTINCT FROM (NEW.id, NEW.position_id, NEW.requested_by, NEW.created_at))
    EXECUTE FUNCTION refuse();

-- A close with an order that may still fill never ends.
CREATE FUNCTION orders_must_be_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM close_orders
        WHERE close_id = NEW.id AND state NOT IN ('TERMINAL', 'ABSENT')
    ) THEN
        RAISE EXCEPTION 'an order of the close is not settled'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER close_requests_end_settled BEFORE UPDATE ON close_requests
    FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION orders_must_be_settled();

-- An order's terms are frozen with its row: whatever is sent again under its id is the same order.
CREATE TRIGGER close_orders_frozen BEFORE UPDATE ON close_orders
    FOR EACH ROW WHEN (
        (OLD.id, OLD.close_id, OLD.component_id, OLD.account_id, OLD.category, OLD.symbol,
         OLD.position_idx, OLD.attempt, OLD.link_id, OLD.side, OLD.quantity)
        IS DISTINCT FROM
        (NEW.id, NEW.close_id, NEW.component_id, NEW.account_id, NEW.category, NEW.symbol,
         NEW.position_idx, NEW.attempt, NEW.link_id, NEW.side, NEW.quantity)
        OR NEW.filled < OLD.filled)
    EXECUTE FUNCTION refuse();

-- --- notifications -------------------------------------------------------------------------

-- One per statement, and Postgres folds equal ones of a transaction into one. The hot columns
-- notify nobody: an `UPDATE OF` trigger fires only for statements that set one of its columns.
CREATE FUNCTION tell_of_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('positiond_changes', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER synthetic_positions_tell AFTER INSERT OR DELETE
    OR UPDATE OF name, external_id, note, tags, status ON synthetic_positions
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER position_components_tell AFTER INSERT OR UPDATE OR DELETE ON position_components
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER unassigned_quantities_tell AFTER INSERT OR UPDATE OR DELETE
    ON unassigned_quantities
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER accounts_tell AFTER INSERT OR UPDATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER close_requests_tell AFTER INSERT ON close_requests
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
CREATE TRIGGER switches_tell AFTER UPDATE ON switches
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
