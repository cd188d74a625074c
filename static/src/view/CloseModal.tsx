import { parseDecimal, signOf } from "../model/decimal";
import { formatNumber } from "../model/money";
import { openQuantity, reverseSide, type Leg, type Position } from "../model/position";
import { deviates, showsAltered } from "../model/standing";
import { WarningIcon } from "./icons";
import { Modal } from "./Modal";
import { Money } from "./Money";

interface Props {
  readonly position: Position;
  /** Closing already (another tab, another person): there is nothing left to confirm. */
  readonly isClosing: boolean;
  readonly onConfirm: () => void;
  readonly onCancel: () => void;
}

/** Asks before anything is sent. Cancel has the focus: a stray Enter closes nothing. */
export function CloseModal({ position, isClosing, onConfirm, onCancel }: Props) {
  const altered = showsAltered(position);
  return (
    <Modal name="close" title={`Close ${position.name}?`} onCancel={onCancel}>
      <p class="modal-sum">
        Unrealized P&amp;L now{" "}
        <Money amount={position.unrealizedPnl} currency={position.pnlCurrency} reason={position.pnlIncomplete} />
      </p>
      <p>{altered ? "At most these market orders go to Bybit:" : "These market orders go to Bybit:"}</p>
      <ul class="orders">
        {position.legs.map((leg) => (
          <OrderLine key={leg.id} leg={leg} />
        ))}
      </ul>
      <p class="muted">
        Never more than this position's own share of what Bybit holds at that moment. Nothing else
        in the account is touched.
      </p>
      {altered && (
        <p class="callout">
          <WarningIcon /> This position is altered: what Bybit holds differs from what is recorded. If it
          cannot be told whose quantity is missing, the close is refused before any order.
        </p>
      )}
      <div class="modal-actions">
        <button class="button" type="button" data-first data-testid="cancel-close" onClick={onCancel}>
          Keep it open
        </button>
        <button class="button danger solid" type="button" data-testid="confirm-close" disabled={isClosing} onClick={onConfirm}>
          {isClosing ? "Closing already…" : "Close position"}
        </button>
      </div>
    </Modal>
  );
}

function OrderLine({ leg }: { readonly leg: Leg }) {
  const open = openQuantity(leg);
  if (signOf(parseDecimal(open)) === 0) {
    return <li data-testid="close-order"><strong>{leg.symbol}</strong> <span class="muted">closed already</span></li>;
  }
  const side = reverseSide(leg.side);
  return (
    <li data-testid="close-order">
      <span class={`order-side ${side === "Buy" ? "long" : "short"}`}>{side}</span>
      <strong class="order-quantity">{formatNumber(open)}</strong>
      <span>{leg.symbol}</span>
      <span class="muted">{leg.category === "spot" ? "spot market" : "reduce-only market"}</span>
      {deviates(leg) && leg.actual !== null && (
        <span class="deviates">its part on Bybit: {formatNumber(leg.actual)}</span>
      )}
    </li>
  );
}
