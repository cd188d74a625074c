import { compareDecimals, multiply, parseDecimal, signOf } from "./decimal";
import type { Side } from "./position";
import type { ResolveAction } from "./resolving";

/** What is said with a close. */
export interface CloseTerms {
  /** Of each leg's open quantity; null is all of it. */
  readonly fraction: string | null;
  /** Percent from the best price beyond which nothing fills; null leaves the daemon's own. */
  readonly slippage: string | null;
  /** Resting reduce-only orders in the way may be cancelled. */
  readonly cancelResting: boolean;
  /** The preview that was agreed to. */
  readonly expectedPlan: string | null;
}

export const WHOLE: CloseTerms = { fraction: null, slippage: null, cancelResting: false, expectedPlan: null };

export interface Blocker {
  readonly code: string;
  readonly detail: string;
  /** What would lift it. */
  readonly resolve: readonly ResolveAction[];
}

/** An order of the trader's own; `quantity` is what may still fill of it. */
export interface RestingOrder {
  readonly orderId: string;
  readonly side: Side;
  readonly quantity: string;
  readonly price: string | null;
  readonly type: string;
}

export interface PlannedLeg {
  readonly componentId: string;
  readonly quantity: string;
  /** What is recorded as open and not there on Bybit. */
  readonly shortfall: string;
  /** What is too small to be traded. */
  readonly dust: string;
  readonly price: string | null;
  readonly fee: string | null;
  readonly feeCoin: string | null;
  readonly blockers: readonly Blocker[];
  readonly resting: readonly RestingOrder[];
}

/** The daemon's preview of a close, read from Bybit. */
export interface ClosePlan {
  readonly planId: string;
  readonly expiresAt: string;
  readonly fraction: string | null;
  readonly legs: readonly PlannedLeg[];
}

export const FRACTIONS: readonly (readonly [fraction: string | null, label: string])[] = [
  ["0.25", "25 %"],
  ["0.5", "50 %"],
  ["0.75", "75 %"],
  [null, "100 %"],
];

const RESTING = "resting-orders";
/** So long before its end a plan is read anew: the next one is there before this one is not. */
const EARLY_MS = 10_000;

/** Whether both ask for the same; which preview was looked at is no part of that. */
export function isSameChoice(left: CloseTerms, right: CloseTerms): boolean {
  const { fraction, slippage, cancelResting } = left;
  return fraction === right.fraction && slippage === right.slippage && cancelResting === right.cancelResting;
}

export function isOf(plan: ClosePlan, fraction: string | null): boolean {
  return compareDecimals(parseDecimal(plan.fraction ?? "1"), parseDecimal(fraction ?? "1")) === 0;
}

export function isExpired(plan: ClosePlan, now: number): boolean {
  return now >= Date.parse(plan.expiresAt);
}

export function isAgeing(plan: ClosePlan, now: number): boolean {
  return now >= Date.parse(plan.expiresAt) - EARLY_MS;
}

/** What keeps the close from being sent, with or without the leave to cancel resting orders. */
export function blockersOf(plan: ClosePlan, cancelResting: boolean): readonly Blocker[] {
  const all = plan.legs.flatMap((leg) => leg.blockers);
  return all.filter((blocker) => !(cancelResting && blocker.code === RESTING));
}

export function hasResting(plan: ClosePlan): boolean {
  return plan.legs.some((leg) => leg.resting.length > 0);
}

/** Why a slippage cannot be sent, or null; nothing written is no limit of one's own. */
export function slippageFault(text: string): string | null {
  if (text === "") return null;
  if (/^\d{1,2}(\.\d{1,2})?$/.test(text)) {
    const hundredths = multiply(parseDecimal(text), parseDecimal("100"));
    const isLow = compareDecimals(hundredths, parseDecimal("1")) < 0;
    if (!isLow && compareDecimals(hundredths, parseDecimal("1000")) <= 0) return null;
  }
  return "The slippage is in percent: 0.01 to 10, at most two decimals.";
}

/** "25 %" of "0.25": any fraction as a person reads it. */
export function percentWords(fraction: string): string {
  const { units, scale } = multiply(parseDecimal(fraction), parseDecimal("100"));
  const digits = units.toString().padStart(scale + 1, "0");
  const rest = scale === 0 ? "" : digits.slice(-scale).replace(/0+$/, "");
  const whole = scale === 0 ? digits : digits.slice(0, -scale);
  return `${whole}${rest === "" ? "" : `.${rest}`} %`;
}

export function isNothing(quantity: string): boolean {
  return signOf(parseDecimal(quantity)) === 0;
}
