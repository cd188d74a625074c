-- name: try_trading_lock
-- Take the database's one trading lock for as long as the connection lives, if it is free.
SELECT pg_try_advisory_lock($1);

-- name: next_epoch
-- Begin a new epoch; waits for writes of the old leader that are under way.
UPDATE leadership SET epoch = epoch + 1, taken_at = now() RETURNING epoch;

-- name: current_epoch
-- The epoch of whoever took the trading lock last.
SELECT epoch FROM leadership;

-- name: fence
-- The current epoch, kept from changing until the transaction ends.
SELECT epoch FROM leadership FOR SHARE;
