import type { Ledger } from "../src/api/ledger";
import type { DeviationRow } from "../src/model/evidence";
import type { ClosePlan, PlannedLeg } from "../src/model/closePlan";
import type { CloseReport, Leg, Position } from "../src/model/position";
import type { Shelf } from "../src/api/storage";
import { Storage } from "../src/api/storage";

export const NOW = Date.parse("2026-03-01T12:00:00Z");

export function leg(over: Partial<Leg> = {}): Leg {
  return {
    id: "leg-1",
    category: "linear",
    symbol: "BTCUSDT",
    coin: null,
    side: "Buy",
    quantity: over.quantity ?? "0.5",
    recordedQuantity: over.quantity ?? "0.5",
    closedQuantity: "0",
    entryPrice: "101250.1",
    price: "101274.8",
    priceBasis: "mark",
    priceAt: "2026-03-01T11:59:58Z",
    unrealizedPnl: "12.35",
    pnlCurrency: null,
    actual: "0.5",
    difference: "0",
    deviates: over.difference !== undefined && over.difference !== null && Number(over.difference) !== 0,
    note: null,
    ...over,
  };
}

export function position(over: Partial<Position> = {}): Position {
  return {
    id: "p1",
    accountId: "a1",
    name: "BTC/ETH pair",
    note: "",
    tags: [],
    status: "ACTIVE",
    isAltered: false,
    verdict: "in_sync",
    verdictReason: null,
    unrealizedPnl: "12.35",
    netPnl: "11.15",
    pnlCurrency: "USDT",
    pnlIncomplete: null,
    fees: "1.2",
    funding: "0",
    realizedPnl: "0",
    booked: [{ coin: "USDT", fees: "1.2", funding: "0", realizedPnl: "0" }],
    bookedIncomplete: null,
    openedAt: "2026-03-01T10:00:00Z",
    verifiedAt: "2026-03-01T11:59:00Z",
    legs: [leg()],
    deviations: [],
    lastClose: null,
    ...over,
  };
}

/** An open one of the leg's bucket. */
export function deviation(over: Partial<DeviationRow> = {}): DeviationRow {
  return {
    id: 1,
    category: "linear",
    symbol: "BTCUSDT",
    positionIdx: 0,
    kind: "missing",
    expected: "0.5",
    actual: "0.1",
    difference: "-0.4",
    firstSeen: "2026-03-01T11:58:00Z",
    lastVerified: "2026-03-01T11:59:30Z",
    endedAt: null,
    resolution: null,
    cause: "Long leg reduced by ADL 11:58:00, 0.4 BTC",
    whileAway: false,
    ...over,
  };
}

/** A position of one leg of which 0.4 of 0.5 are gone. */
export function altered(over: Partial<Position> = {}): Position {
  const legs = [leg({ actual: "0.1", difference: "-0.4" })];
  return position({ isAltered: true, verdict: "altered", legs, deviations: [deviation()], ...over });
}

/** Of a close that failed with part of the position still open. */
export function closeReport(over: Partial<CloseReport> = {}): CloseReport {
  return {
    closeId: "c1",
    state: "FAILED",
    code: "residual",
    detail: null,
    fraction: null,
    isOfSet: false,
    targets: [],
    legs: [],
    ...over,
  };
}

export function planned(over: Partial<PlannedLeg> = {}): PlannedLeg {
  return {
    componentId: "leg-1",
    quantity: "0.5",
    shortfall: "0",
    dust: "0",
    price: "101250.50",
    fee: "27.84",
    feeCoin: "USDT",
    blockers: [],
    resting: [],
    ...over,
  };
}

export function plan(...legs: readonly PlannedLeg[]): ClosePlan {
  return { planId: "plan-1", expiresAt: "2026-03-01T12:01:00Z", fraction: null, legs };
}

/** Knows nothing and agrees to everything. */
export function quietLedger(over: Partial<Ledger> = {}): Ledger {
  const done = () => Promise.resolve();
  return {
    past: () => Promise.resolve({ deviations: [], events: [] }),
    pnl: () => Promise.resolve([]),
    holdings: () => Promise.resolve({ holdings: [], readAt: "2026-03-01T12:00:00Z", incomplete: null }),
    resolve: done,
    edit: done,
    recheck: done,
    record: done,
    closePlan: () => new Promise(() => undefined),
    recheckClose: done,
    cancelClose: done,
    ...over,
  };
}

/** A position as the wire spells it. */
export function wirePosition(over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "p1",
    account_id: "a1",
    name: "BTC/ETH pair",
    note: "",
    tags: [],
    status: "ACTIVE",
    is_altered: false,
    verdict: "in_sync",
    verdict_reason: null,
    unrealized_pnl: "12.34",
    pnl_currency: "USDT",
    pnl_at: "2026-03-01T12:00:00.000Z",
    pnl_incomplete: null,
    fees: "0",
    funding: "0",
    realized_pnl: "0",
    net_pnl: "12.34",
    booked: [{ coin: "USDT", fees: "0", funding: "0", realized_pnl: "0" }],
    booked_incomplete: null,
    opened_at: "2026-03-01T10:00:00.000Z",
    closed_at: null,
    verified_at: null,
    components: [
      {
        id: "leg-1",
        category: "linear",
        symbol: "BTCUSDT",
        side: "Buy",
        quantity: "0.5",
        closed_quantity: "0",
        entry_price: "101250.1",
        price: null,
        price_basis: "mark",
        price_at: null,
        unrealized_pnl: null,
        actual: null,
        difference: null,
        pnl_currency: "USDT",
        coin: null,
        recorded_quantity: "0.8",
        deviates: false,
        note: "",
      },
    ],
    deviations: [],
    last_close: null,
    ...over,
  };
}

/** Storage that lives in a map, to be handed to a second page as a reload would. */
export function memoryShelf(): Shelf & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
  };
}

export function memoryStorage(): Storage {
  const shelf = memoryShelf();
  return new Storage(() => shelf);
}

/** Reproducible numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}
