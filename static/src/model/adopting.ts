import { absolute, compareDecimals, parseDecimal, signOf, subtract, toText, trimmed } from "./decimal";
import type { Side } from "./position";

/** What Bybit holds in a bucket, and whose it is; signed quantities. */
export interface Holding {
  readonly category: string;
  /** For spot the coin. */
  readonly symbol: string;
  readonly positionIdx: number;
  readonly total: string;
  readonly tracked: string;
  readonly unassigned: string;
  readonly entryPrice: string | null;
  readonly price: string | null;
}

export interface Holdings {
  readonly holdings: readonly Holding[];
  readonly readAt: string;
  /** What could not be read. */
  readonly incomplete: string | null;
}

/** A leg as the person asks to record it; the texts are checked by `faultOf`. */
export interface LegDraft {
  readonly category: string;
  readonly symbol: string;
  readonly side: Side;
  readonly quantity: string;
  readonly entryPrice: string;
}

/** A holding that was picked, with what to record of it. */
export interface Picked {
  readonly holding: Holding;
  readonly draft: LegDraft;
}

export function keyOf({ category, symbol, positionIdx }: Holding): string {
  return `${category} ${symbol} ${positionIdx}`;
}

/** What no position tracks of it, and so can be recorded as a leg; null for nothing. */
export function adoptable(holding: Holding): LegDraft | null {
  // Unassigned counts: it is the trader's own, and recording takes from it.
  const free = subtract(parseDecimal(holding.total), parseDecimal(holding.tracked));
  const sign = signOf(free);
  const isAgainst = sign !== signOf(parseDecimal(holding.total));
  const isSpot = holding.category === "spot";
  if (sign === 0 || isAgainst || (isSpot && sign < 0)) return null;
  return {
    category: holding.category,
    symbol: isSpot ? spotSymbol(holding.symbol) : holding.symbol,
    side: sign > 0 ? "Buy" : "Sell",
    quantity: toText(trimmed(absolute(free))),
    entryPrice: holding.entryPrice ?? holding.price ?? "",
  };
}

/** The usual market of a coin, to be changed where it was bought in another one. */
function spotSymbol(coin: string): string {
  return coin === "USDT" ? "" : `${coin}USDT`;
}

/** What is wrong with a draft, for its person; null for nothing. The daemon checks the rest. */
export function faultOf(draft: LegDraft, holding: Holding): string | null {
  if (draft.symbol.trim() === "") return `Name the symbol to record ${holding.symbol} as.`;
  if (!isAboveZero(draft.quantity)) return `The quantity of ${draft.symbol} must be a number above zero.`;
  if (!isAboveZero(draft.entryPrice)) return `The entry price of ${draft.symbol} must be a number above zero.`;
  const most = adoptable(holding);
  const isTooMuch = most !== null && compareDecimals(parseDecimal(draft.quantity), parseDecimal(most.quantity)) > 0;
  return isTooMuch ? `Of ${draft.symbol} only ${most.quantity} can be recorded.` : null;
}

function isAboveZero(text: string): boolean {
  try {
    return signOf(parseDecimal(text)) > 0;
  } catch {
    return false;
  }
}
