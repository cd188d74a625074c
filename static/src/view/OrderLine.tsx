import type { Blocker, PlannedLeg, RestingOrder } from "../model/closePlan";
import { isNothing } from "../model/closePlan";
import { formatAmount, formatNumber } from "../model/money";
import { openQuantity, reverseSide, type Leg } from "../model/position";
import { ACTION_TITLES, type ResolveAction } from "../model/resolving";
import { deviates } from "../model/standing";
import { WarningIcon } from "./icons";

interface Props {
  readonly leg: Leg;
  /** Of the preview; null while there is none. */
  readonly planned: PlannedLeg | null;
  readonly isPart: boolean;
  readonly onResolve: (action: ResolveAction) => void;
}

/** One leg of a close: the order that goes out for it, and what keeps it from going. */
export function OrderLine({ leg, planned, isPart, onResolve }: Props) {
  const open = openQuantity(leg);
  if (isNothing(open)) {
    return <li data-testid="close-order"><strong>{leg.symbol}</strong> <span class="muted">closed already</span></li>;
  }
  return (
    <li data-testid="close-order" data-symbol={leg.symbol}>
      <Order leg={leg} quantity={planned?.quantity ?? (isPart ? null : open)} />
      {planned === null ? deviates(leg) && leg.actual !== null && (
        <span class="deviates">its part on Bybit: {formatNumber(leg.actual)}</span>
      ) : (
        <Terms planned={planned} isPart={isPart} onResolve={onResolve} />
      )}
    </li>
  );
}

function Order({ leg, quantity }: { readonly leg: Leg; readonly quantity: string | null }) {
  if (quantity !== null && isNothing(quantity)) {
    return (
      <>
        <strong>{leg.symbol}</strong>
        <span class="muted">no order</span>
      </>
    );
  }
  const side = reverseSide(leg.side);
  return (
    <>
      <span class={`order-side ${side === "Buy" ? "long" : "short"}`}>{side}</span>
      <strong class="order-quantity">{quantity === null ? "…" : formatNumber(quantity)}</strong>
      <span>{leg.symbol}</span>
      <span class="muted">{leg.category === "spot" ? "spot market" : "reduce-only market"}</span>
    </>
  );
}

function Terms({ planned, isPart, onResolve }: Omit<Props, "leg" | "planned"> & { readonly planned: PlannedLeg }) {
  const remarks = [estimateWords(planned), shortfallWords(planned), dustWords(planned, isPart)];
  return (
    <>
      {remarks.map((remark) => remark !== null && <span key={remark} class="order-remark">{remark}</span>)}
      {planned.blockers.map((blocker) => (
        <BlockerLine key={blocker.code} blocker={blocker} onResolve={onResolve} />
      ))}
      {planned.resting.map((order) => (
        <span key={order.orderId} class="order-remark" data-testid="resting-order">Resting: {restingWords(order)}</span>
      ))}
    </>
  );
}

function BlockerLine({ blocker, onResolve }: { readonly blocker: Blocker; readonly onResolve: Props["onResolve"] }) {
  return (
    <span class="order-remark deviates" data-testid="blocker" data-code={blocker.code}>
      <WarningIcon /> {blocker.detail || blocker.code}{" "}
      {blocker.resolve.map((action) => (
        <button key={action} class="link" type="button" data-testid={`lift-${action}`} onClick={() => onResolve(action)}>
          {ACTION_TITLES[action]}…
        </button>
      ))}
    </span>
  );
}

function estimateWords({ price, fee, feeCoin, quantity }: PlannedLeg): string | null {
  if (isNothing(quantity)) return null;
  if (price === null) return "No estimate: the order book is too thin for it.";
  const cost = fee === null ? "" : ` · fee about ${formatAmount(fee, feeCoin ?? "")}`;
  return `At about ${formatNumber(price)}${cost}`;
}

function shortfallWords({ shortfall }: PlannedLeg): string | null {
  return isNothing(shortfall) ? null : `${formatNumber(shortfall)} less than recorded is there on Bybit.`;
}

function dustWords({ dust }: PlannedLeg, isPart: boolean): string | null {
  if (isNothing(dust)) return null;
  const fate = isPart ? "stays open" : "stays on Bybit as your own";
  return `${formatNumber(dust)} is too small to be traded and ${fate}.`;
}

function restingWords({ side, quantity, price, type }: RestingOrder): string {
  const at = price === null ? "" : ` at ${formatNumber(price)}`;
  return `${side} ${formatNumber(quantity)}${at}, ${type}`;
}
