"""A local exchange that speaks Bybit V5 over REST and WebSocket."""
