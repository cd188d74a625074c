import type { JournalEntry } from "./evidence";
import { formatNumber, formatSigned } from "./money";
import type { CloseLeg, CloseReport, Leg } from "./position";

const STATES: Readonly<Record<string, string>> = {
  ACCEPTED: "accepted",
  WAITING: "waiting its turn",
  PREFLIGHT: "checking all legs",
  SENDING: "sending orders",
  SETTLING: "waiting for fills",
  VERIFYING: "verifying with Bybit",
};

const OUTCOMES: Readonly<Record<string, string>> = {
  flat: "closed",
  dust: "closed but for dust below the smallest order",
  shortfall: "closed what Bybit held, which was less than recorded",
  residual: "part of it is still open",
  rejected: "Bybit rejected the order",
  unknown: "the order's outcome is not known yet",
};

const REASONS: Readonly<Record<string, string>> = {
  residual: "part of the position is still open",
  rejected: "Bybit rejected an order",
  unknown: "an order's outcome is not known",
  expired: "the request grew too old before everything was sent",
  netted: "the leg is netted on Bybit against an opposite holding",
  cancelled: "it was cancelled before anything was sent",
  "shortfall-unattributed": "Bybit holds less than is recorded, and whose loss it is must be said first",
  "trading-paused": "an operator has paused all sending of orders",
  "plan-changed": "what would be sent is not what was agreed to; look again",
  "resting-orders": "resting reduce-only orders are in the way",
  "instrument-not-trading": "Bybit does not trade the symbol now",
  "coin-locked": "part of the coin is locked on Bybit",
  "coin-unknown": "the coin that backs a spot leg is not known yet",
  "key-refused": "Bybit refuses the account's API key",
  "read-only-key": "the account's API key may not trade",
  unverified: "what Bybit holds could not be verified",
};

/** What a running close is doing, in words; the bare state where it is a new one. */
export function stateWords(state: string): string {
  return STATES[state] ?? inWords(state);
}

export function outcomeWords(outcome: string): string {
  return OUTCOMES[outcome] ?? inWords(outcome);
}

/** Why a close ended without closing the position. */
export function failureWords(close: CloseReport): string {
  if (close.detail !== null) return close.detail;
  if (close.code !== null) return REASONS[close.code] ?? inWords(close.code);
  const [first] = close.legs.filter((leg) => leg.outcome !== "flat");
  return first === undefined ? "no reason was given" : legWords(first);
}

export function legWords(leg: CloseLeg): string {
  return leg.detail ?? outcomeWords(leg.outcome);
}

/** "Long" or "Short", as traders say it. */
export function directionWords(leg: Leg): string {
  return leg.side === "Buy" ? "Long" : "Short";
}

const KINDS: Readonly<Record<string, string>> = {
  missing: "Less than recorded",
  surplus: "More than recorded",
  flipped: "The other way round",
};

/** What kind of deviation it is, as a person says it. */
export function kindWords(kind: string): string {
  return KINDS[kind] ?? inWords(kind);
}

const RESOLUTIONS: Readonly<Record<string, string>> = {
  accept: "accepted as your own",
  rebase: "leg rebased",
  mark_closed: "leg marked closed",
};

/** How a deviation ended. */
export function resolutionWords(resolution: string | null): string {
  return resolution === null ? "gone again" : (RESOLUTIONS[resolution] ?? inWords(resolution));
}

/** One line of the journal: what happened, to what, by how much, why; `nameOf` names a leg. */
export function entryWords({ kind, data }: JournalEntry, nameOf: (legId: string) => string | null = () => null): string {
  const what = inWords(kind);
  const parts = [
    wordIn(data["symbol"]),
    offIn(data["expected"], data["actual"]),
    wordIn(data["action"]),
    ...changesIn(data["components"], nameOf),
    ...changesIn(data["unassigned"], () => null),
    causeIn(data["cause"]),
    wordIn(data["detail"]) ?? wordIn(data["reason"]),
  ];
  const told = parts.filter((part) => part !== null).join(" · ");
  const sentence = what.charAt(0).toUpperCase() + what.slice(1);
  return told === "" ? sentence : `${sentence}: ${told}`;
}

/** Quantities before and after, of legs or of what is unassigned. */
function changesIn(value: unknown, nameOf: (legId: string) => string | null): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    if (typeof item !== "object" || item === null) return [];
    const { component_id: legId, symbol, before, after }: Record<string, unknown> = { ...item };
    const [old, now] = [quantityIn(before), quantityIn(after)];
    if (old === null || now === null) return [];
    const name = typeof legId === "string" ? nameOf(legId) : `unassigned ${wordIn(symbol) ?? ""}`;
    return [`${name ?? "a leg"} ${old} → ${now}`];
  });
}

function wordIn(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value.replaceAll("_", " ") : null;
}

function offIn(expected: unknown, actual: unknown): string | null {
  const [wanted, held] = [numberIn(expected, formatSigned), numberIn(actual, formatSigned)];
  return wanted === null || held === null ? null : offWords(wanted, held);
}

/** Both sides as Bybit signs them: a difference alone leaves open which way a short went. */
export function offWords(expected: string, actual: string): string {
  return `${expected} expected, ${actual} held`;
}

function quantityIn(value: unknown): string | null {
  return numberIn(value, formatNumber);
}

/** The journal outlives versions: what is no number any more is left out, not a fault. */
function numberIn(value: unknown, format: (text: string) => string): string | null {
  if (typeof value !== "string") return null;
  try {
    return format(value);
  } catch {
    return null;
  }
}

function causeIn(value: unknown): string | null {
  if (typeof value === "object" && value !== null && "text" in value) return wordIn(value.text);
  return wordIn(value);
}

function inWords(code: string): string {
  return code.toLowerCase().replaceAll(/[-_]/g, " ");
}
