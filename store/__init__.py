"""The Postgres edge: schema, queries, embedded server, sealed secrets."""
