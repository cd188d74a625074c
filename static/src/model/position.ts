import { parseDecimal, signOf, subtract, toText } from "./decimal";
import type { DeviationRow } from "./evidence";

export type PositionStatus = "ACTIVE" | "CLOSING" | "CLOSED";
export type Verdict = "in_sync" | "altered" | "unverified";
export type Side = "Buy" | "Sell";

/** A recorded leg with its valuation and what Bybit holds of it; numbers are decimal strings. */
export interface Leg {
  readonly id: string;
  readonly category: string;
  readonly symbol: string;
  /** Whose wallet balance backs a spot leg; null until it is known. */
  readonly coin: string | null;
  readonly side: Side;
  readonly quantity: string;
  /** The quantity at first, before any resolve action. */
  readonly recordedQuantity: string;
  readonly closedQuantity: string;
  readonly entryPrice: string;
  readonly price: string | null;
  readonly priceBasis: string;
  readonly priceAt: string | null;
  readonly unrealizedPnl: string | null;
  /** The coin of `unrealizedPnl`; null where it is the position's own. */
  readonly pnlCurrency: string | null;
  /** In the leg's own direction; null while there is no reading. */
  readonly actual: string | null;
  /** Actual less open, in the leg's own direction. */
  readonly difference: string | null;
  /** The verdict on the difference: a permitted one does not deviate, and `note` says what it is. */
  readonly deviates: boolean;
  readonly note: string | null;
}

/** What was booked in one coin, exact and valued in nothing else. */
export interface Booked {
  readonly coin: string;
  readonly fees: string;
  readonly funding: string;
  readonly realizedPnl: string;
}

export interface CloseLeg {
  readonly componentId: string;
  readonly outcome: string;
  readonly filled: string | null;
  readonly detail: string | null;
}

/** What was open of a leg when its close was asked for, and how much of it is to be closed. */
export interface CloseTarget {
  readonly componentId: string;
  readonly open: string;
  readonly quantity: string;
}

export interface CloseReport {
  readonly closeId: string;
  readonly state: string;
  readonly code: string | null;
  readonly detail: string | null;
  /** Of each leg's open quantity; null is all of it. */
  readonly fraction: string | null;
  /** Asked for together with others. */
  readonly isOfSet: boolean;
  readonly targets: readonly CloseTarget[];
  readonly legs: readonly CloseLeg[];
}

export interface Position {
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
  readonly note: string;
  readonly tags: readonly string[];
  readonly status: PositionStatus;
  readonly isAltered: boolean;
  readonly verdict: Verdict;
  readonly verdictReason: string | null;
  readonly unrealizedPnl: string | null;
  readonly netPnl: string | null;
  readonly pnlCurrency: string;
  readonly pnlIncomplete: string | null;
  readonly fees: string | null;
  readonly funding: string | null;
  readonly realizedPnl: string | null;
  readonly booked: readonly Booked[];
  /** Why fees, funding or what was realized cannot be valued. */
  readonly bookedIncomplete: string | null;
  readonly openedAt: string;
  readonly verifiedAt: string | null;
  readonly legs: readonly Leg[];
  /** The open ones of its legs' buckets. */
  readonly deviations: readonly DeviationRow[];
  readonly lastClose: CloseReport | null;
}

/** The fields without which a row cannot be drawn: a change for an unknown id must carry them. */
export const ESSENTIAL = [
  "accountId",
  "name",
  "status",
  "isAltered",
  "verdict",
  "pnlCurrency",
  "openedAt",
  "legs",
] as const satisfies readonly (keyof Position)[];

/** A change for one position: only what changed; `removed` takes it off the list. */
export interface Change {
  readonly id: string;
  readonly removed: boolean;
  readonly fields: Partial<Position>;
}

const BLANK = {
  note: "",
  tags: [],
  booked: [],
  bookedIncomplete: null,
  deviations: [],
  verdictReason: null,
  unrealizedPnl: null,
  netPnl: null,
  pnlIncomplete: null,
  fees: null,
  funding: null,
  realizedPnl: null,
  verifiedAt: null,
  lastClose: null,
} satisfies Partial<Position>;

/** A whole position out of a change's fields, or null where essential ones are missing. */
export function wholePosition(id: string, fields: Partial<Position>): Position | null {
  if (!hasEssentials(fields)) return null;
  return { ...BLANK, ...fields, id };
}

type Essentials = Pick<Position, (typeof ESSENTIAL)[number]>;

function hasEssentials(fields: Partial<Position>): fields is Partial<Position> & Essentials {
  return ESSENTIAL.every((key) => fields[key] !== undefined);
}

/** What of the leg is still open: recorded less what our own fills closed. */
export function openQuantity(leg: Leg): string {
  return toText(subtract(parseDecimal(leg.quantity), parseDecimal(leg.closedQuantity)));
}

/** What our own fills closed of the leg since the close was asked for. */
export function filledOf(target: CloseTarget, leg: Leg): string {
  const filled = subtract(parseDecimal(target.open), parseDecimal(openQuantity(leg)));
  return signOf(filled) < 0 ? "0" : toText(filled);
}

/** Before an order may have left; the daemon has the last word. */
export function mayBeCancelled(close: CloseReport): boolean {
  return ["ACCEPTED", "WAITING", "PREFLIGHT"].includes(close.state);
}

/** Legs that settle in several coins make a total in USD, yet each is valued in its own coin. */
export function legCurrency(position: Position, leg: Leg): string {
  return leg.pnlCurrency ?? (position.pnlCurrency === "USD" ? "" : position.pnlCurrency);
}

export function reverseSide(side: Side): Side {
  return side === "Buy" ? "Sell" : "Buy";
}

const ENDED = new Set(["DONE", "FAILED", "CANCELLED"]);

export function hasEnded(close: CloseReport): boolean {
  return ENDED.has(close.state);
}
