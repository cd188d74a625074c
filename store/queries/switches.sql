-- name: switch
-- Whether an operator's switch is on.
SELECT is_on FROM switches WHERE name = $1;

-- name: set_switch
-- Turn a switch; only a turn that changes it is noted in the journal.
WITH turned AS (
    UPDATE switches SET is_on = $2, changed_at = now()
    WHERE name = $1 AND is_on <> $2
    RETURNING name, is_on
)
INSERT INTO events (kind, data)
SELECT name || CASE WHEN is_on THEN '-on' ELSE '-off' END, '{}' FROM turned;
