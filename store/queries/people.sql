-- name: user_for_sign_in
-- A user and the hash of the password; case does not matter in a name.
SELECT id, username, password_hash FROM users WHERE lower(username) = lower($1);

-- name: all_users
-- Every user.
SELECT id, username FROM users ORDER BY lower(username);

-- name: insert_user
-- A new user, and a line in the journal.
WITH added AS (
    INSERT INTO users (username, password_hash) VALUES ($1, $2) RETURNING id, username
), noted AS (
    INSERT INTO events (kind, actor, data)
    SELECT 'user-added', id, jsonb_build_object('username', username) FROM added
)
SELECT id, username FROM added;

-- name: set_password
-- A new password: whoever came in by the old one is out, links included.
WITH changed AS (
    UPDATE users SET password_hash = $2 WHERE lower(username) = lower($1) RETURNING id
), sessions_ended AS (
    DELETE FROM sessions WHERE user_id IN (SELECT id FROM changed)
), tickets_ended AS (
    DELETE FROM sign_in_tickets WHERE user_id IN (SELECT id FROM changed)
), noted AS (
    INSERT INTO events (kind, actor) SELECT 'password-set', id FROM changed
)
SELECT id FROM changed;

-- name: renew_password_hash
-- The same password under another hash; nothing where another password was set meanwhile.
UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2;

-- name: open_session
-- A new session; those that have expired are swept out on the way.
WITH swept AS (
    DELETE FROM sessions WHERE expires_at <= $3
)
INSERT INTO sessions (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4);

-- name: session
-- Whose session it is, until it expires.
SELECT u.id, u.username
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.expires_at > $2;

-- name: end_session
-- Sign out.
DELETE FROM sessions WHERE token_hash = $1;

-- name: bearer
-- Whose token it is unless it was revoked; its use is noted at most once a minute.
WITH noted AS (
    UPDATE api_tokens SET last_used_at = $2::timestamptz
    WHERE token_hash = $1 AND revoked_at IS NULL
      AND coalesce(last_used_at <= $2::timestamptz - interval '1 minute', true)
)
SELECT u.id, u.username, t.scope
FROM api_tokens t
JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND t.revoked_at IS NULL;

-- name: insert_token
-- A new API token, and a line in the journal.
WITH added AS (
    INSERT INTO api_tokens (user_id, label, scope, token_hash) VALUES ($1, $2, $3, $4)
    RETURNING *
), noted AS (
    INSERT INTO events (kind, actor, data)
    SELECT 'token-created', user_id,
           jsonb_build_object('token', id, 'label', label, 'scope', scope)
    FROM added
)
SELECT id, user_id, label, scope, created_at, last_used_at, revoked_at FROM added;

-- name: tokens_of_user
-- A user's tokens, revoked ones included.
SELECT id, user_id, label, scope, created_at, last_used_at, revoked_at
FROM api_tokens
WHERE user_id = $1
ORDER BY created_at, id;

-- name: revoke_token
-- End a token; no row if the user has none of that id. A second time changes nothing.
WITH found AS (
    SELECT id, revoked_at FROM api_tokens WHERE user_id = $1 AND id = $2 FOR UPDATE
), revoked AS (
    UPDATE api_tokens t SET revoked_at = now()
    FROM found
    WHERE t.id = found.id AND found.revoked_at IS NULL
    RETURNING t.id
), noted AS (
    INSERT INTO events (kind, actor, data)
    SELECT 'token-revoked', $1, jsonb_build_object('token', id) FROM revoked
)
SELECT id FROM found;

-- name: insert_ticket
-- A sign-in link.
INSERT INTO sign_in_tickets (user_id, ticket_hash, expires_at) VALUES ($1, $2, $3);

-- name: ticket
-- Whose sign-in link it is, until it expires.
SELECT u.id, u.username
FROM sign_in_tickets t
JOIN users u ON u.id = t.user_id
WHERE t.ticket_hash = $1 AND t.expires_at > $2;
