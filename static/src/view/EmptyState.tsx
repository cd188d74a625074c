const EXAMPLE = `POST /api/positions
{
  "account_id": "…",
  "name": "BTC/ETH pair",
  "components": [
    {"category": "linear", "symbol": "BTCUSDT", "side": "Buy",
     "quantity": "0.5", "entry_price": "101250.1"},
    {"category": "linear", "symbol": "ETHUSDT", "side": "Sell",
     "quantity": "8", "entry_price": "3920.55"}
  ]
}`;

/** Nothing to show yet: how something gets here. */
export function EmptyState() {
  return (
    <div class="empty" data-testid="empty-state">
      <h2>No open positions</h2>
      <p>
        A synthetic position is a named set of legs that you already hold on Bybit. Record one with an
        API token of scope <code>trade</code>, and it appears here at once:
      </p>
      <pre tabIndex={0}><code>{EXAMPLE}</code></pre>
      <p>
        Rows written straight into <code>synthetic_positions</code> and <code>position_components</code>{" "}
        are picked up within two seconds. Recording sends no order.
      </p>
    </div>
  );
}
