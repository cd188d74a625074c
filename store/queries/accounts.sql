-- name: insert_account
-- Credentials on file, and a line in the journal.
WITH added AS (
    INSERT INTO accounts (id, user_id, label, environment, api_key, sealed_secret, seal_key_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    RETURNING *
), noted AS (
    INSERT INTO events (kind, account_id, actor, data)
    SELECT 'account-added', id, user_id,
           jsonb_build_object('label', label, 'environment', environment)
    FROM added
)
SELECT id, user_id, label, environment, api_key FROM added;

-- name: accounts_of_user
-- A user's accounts.
SELECT id, user_id, label, environment, api_key
FROM accounts
WHERE user_id = $1 AND removed_at IS NULL
ORDER BY created_at, id;

-- name: all_accounts
-- Every account, with its sealed secret.
SELECT id, user_id, label, environment, api_key, sealed_secret, seal_key_id
FROM accounts
WHERE removed_at IS NULL
ORDER BY created_at, id;

-- name: lock_account
-- Lock an account against new positions.
SELECT id FROM accounts WHERE id = $1 AND removed_at IS NULL FOR UPDATE;

-- name: account_is_in_use
-- Whether an account has positions that are not CLOSED; a running close has one, too.
SELECT EXISTS (SELECT FROM synthetic_positions WHERE account_id = $1 AND status <> 'CLOSED');

-- name: remove_account
-- Forget an account's credentials, and note it in the journal.
WITH removed AS (
    UPDATE accounts
    SET removed_at = now(), sealed_secret = NULL, seal_key_id = NULL
    WHERE id = $1
    RETURNING id, user_id, label
)
INSERT INTO events (kind, account_id, data)
SELECT 'account-removed', id, jsonb_build_object('label', label) FROM removed;
