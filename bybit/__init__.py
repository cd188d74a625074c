"""The Bybit V5 edge: signed REST, WebSocket streams, and translation to the domain."""
