import type { Leg, Position } from "./position";
import { worstLeg } from "./standing";

/** A bucket on Bybit that does not hold what is expected; signed quantities. */
export interface DeviationRow {
  readonly id: number;
  readonly category: string;
  /** For spot the coin. */
  readonly symbol: string;
  /** 0 one-way, 1 the long and 2 the short side of hedge mode. */
  readonly positionIdx: number;
  readonly kind: string;
  readonly expected: string;
  readonly actual: string;
  readonly difference: string;
  readonly firstSeen: string;
  readonly lastVerified: string;
  readonly endedAt: string | null;
  /** The resolve action that ended it; null where it went by itself. */
  readonly resolution: string | null;
  /** In the daemon's words; null where nothing explains it yet. */
  readonly cause: string | null;
  readonly whileAway: boolean;
}

export interface JournalEntry {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly actor: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A position's past, each part newest first. */
export interface Past {
  readonly deviations: readonly DeviationRow[];
  readonly events: readonly JournalEntry[];
}

export interface PnlPoint {
  readonly at: string;
  readonly unrealized: string;
  readonly net: string | null;
  readonly currency: string;
}

/** The open deviation of the leg's bucket, as far as it is on record. */
export function deviationOf(position: Position, leg: Leg): DeviationRow | null {
  const place = leg.category === "spot" ? (leg.coin ?? leg.symbol) : leg.symbol;
  const sideIdx = leg.side === "Buy" ? 1 : 2;
  const found = position.deviations.find(
    ({ category, symbol, positionIdx }) =>
      category === leg.category && symbol === place && (positionIdx === 0 || positionIdx === sideIdx),
  );
  return found ?? null;
}

/** Why the leg that is furthest off deviates, in the daemon's words. */
export function worstCause(position: Position): string | null {
  const worst = worstLeg(position);
  return worst === null ? null : (deviationOf(position, worst.leg)?.cause ?? null);
}
