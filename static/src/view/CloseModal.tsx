import { useEffect, useRef } from "preact/hooks";
import { parseDecimal, signOf } from "../model/decimal";
import { formatNumber } from "../model/money";
import { openQuantity, reverseSide, type Leg, type Position } from "../model/position";
import { deviates, showsAltered } from "../model/standing";
import { WarningIcon } from "./icons";
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
  const dialog = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    cancel.current?.focus();
    return () => {
      // While it is shown the rest of the page is inert and takes no focus.
      shown?.close();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);

  return (
    <dialog
      ref={dialog}
      class="modal"
      role="dialog"
      aria-modal="true"
      aria-labelledby="close-title"
      data-testid="close-modal"
      onCancel={(event) => {
        event.preventDefault();
        onCancel();
      }}
      onKeyDown={(event) => onKey(event, dialog.current, onCancel)}
    >
      <h2 id="close-title">Close {position.name}?</h2>
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
        <button ref={cancel} class="button" type="button" data-testid="cancel-close" onClick={onCancel}>
          Keep it open
        </button>
        <button class="button danger solid" type="button" data-testid="confirm-close" disabled={isClosing} onClick={onConfirm}>
          {isClosing ? "Closing already…" : "Close position"}
        </button>
      </div>
    </dialog>
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

/** Escape cancels and Tab stays inside, also where the browser leaves either to the page. */
function onKey(event: KeyboardEvent, dialog: HTMLDialogElement | null, onCancel: () => void): void {
  if (event.key === "Escape") {
    event.preventDefault();
    onCancel();
  }
  if (event.key !== "Tab" || dialog === null) return;
  const stops = [...dialog.querySelectorAll<HTMLElement>("button:not([disabled])")];
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  if (document.activeElement !== edge) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
}
