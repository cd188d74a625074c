import { add, parseDecimal, toText, ZERO, type Decimal } from "./decimal";
import type { Position } from "./position";

/** Sums in one currency; currencies are never added to one another. */
export interface Total {
  readonly currency: string;
  readonly unrealized: string;
  readonly net: string;
  /** How many positions could not be counted for want of a price. */
  readonly unpriced: number;
}

export function totals(positions: readonly Position[]): readonly Total[] {
  const currencies = [...new Set(positions.map((position) => position.pnlCurrency))].sort();
  return currencies.map((currency) => {
    const own = positions.filter((position) => position.pnlCurrency === currency);
    return {
      currency,
      unrealized: sum(own.map((position) => position.unrealizedPnl)),
      net: sum(own.map((position) => position.netPnl)),
      unpriced: own.filter(isUnpriced).length,
    };
  });
}

function isUnpriced(position: Position): boolean {
  // A net that is missing makes the sum of nets as partial as a missing price does.
  return position.unrealizedPnl === null || position.netPnl === null || position.pnlIncomplete !== null;
}

function sum(amounts: readonly (string | null)[]): string {
  const total = amounts.reduce<Decimal>(
    (running, amount) => (amount === null ? running : add(running, parseDecimal(amount))),
    ZERO,
  );
  return toText(total);
}
