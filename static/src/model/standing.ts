import { absolute, compareDecimals, multiply, parseDecimal, signOf } from "./decimal";
import type { PendingClose } from "./closing";
import { hasEnded, type CloseReport, type Leg, type Position } from "./position";

/** What the status column says, in one word. */
export type Standing = "open" | "closing" | "unverified";

export function standingOf(position: Position, pending: PendingClose | undefined): Standing {
  if (isClosing(position, pending)) return "closing";
  return position.verdict === "unverified" ? "unverified" : "open";
}

/** True from the moment of the confirmation: the page does not wait for the answer. */
export function isClosing(position: Position, pending: PendingClose | undefined): boolean {
  if (position.status === "CLOSING") return true;
  return pending !== undefined && ["asking", "unknown", "accepted"].includes(pending.phase);
}

/** A doubt takes the badge away: neither "in sync" nor "Altered" is claimed while unverified. */
export function showsAltered(position: Position): boolean {
  return position.verdict === "altered" || (position.isAltered && position.verdict !== "unverified");
}

export interface WorstLeg {
  readonly leg: Leg;
  readonly difference: string;
  /** How many further legs deviate. */
  readonly others: number;
}

/** The leg whose difference is the largest part of its recorded quantity. */
export function worstLeg(position: Position): WorstLeg | null {
  const deviating = position.legs.filter(deviates);
  const leg = deviating.reduce<Leg | null>((worst, next) => (isWorse(next, worst) ? next : worst), null);
  if (leg === null || leg.difference === null) return null;
  return { leg, difference: leg.difference, others: deviating.length - 1 };
}

/** Off by more than is permitted: the fee of a spot purchase is a difference, and no deviation. */
export function deviates(leg: Leg): boolean {
  return leg.deviates && leg.difference !== null && signOf(parseDecimal(leg.difference)) !== 0;
}

function isWorse(next: Leg, worst: Leg | null): boolean {
  if (worst === null || worst.difference === null || next.difference === null) return true;
  // a/b > c/d as a·d > c·b: no quantity is below zero, and nothing is rounded.
  const left = multiply(absolute(parseDecimal(next.difference)), parseDecimal(worst.quantity));
  const right = multiply(absolute(parseDecimal(worst.difference)), parseDecimal(next.quantity));
  return compareDecimals(left, right) > 0;
}

/** The last close, where it ended without closing the position. */
export function failedClose(position: Position): CloseReport | null {
  const close = position.lastClose;
  return close !== null && hasEnded(close) && close.state !== "DONE" ? close : null;
}
