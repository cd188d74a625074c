import { add, compareDecimals, multiply, parseDecimal, signOf, subtract, ZERO, type Decimal } from "./decimal";
import { deviationOf, type DeviationRow } from "./evidence";
import { formatNumber, formatSigned } from "./money";
import { openQuantity, type Leg, type Position } from "./position";
import { deviates, showsAltered } from "./standing";
import { directionWords } from "./words";

const HUNDRED = parseDecimal("100");

export type ResolveAction = "accept" | "rebase" | "mark_closed";

export const ACTION_TITLES: Readonly<Record<ResolveAction, string>> = {
  accept: "Accept",
  rebase: "Rebase",
  mark_closed: "Mark closed",
};

/** One quantity before and after a resolve action, in words. */
export interface Effect {
  readonly what: string;
  readonly before: string;
  readonly after: string;
}

export interface ResolvePlan {
  readonly action: ResolveAction;
  readonly meaning: string;
  readonly effects: readonly Effect[];
}

/**
 * What may be done about a leg's deviation, as far as the page can know.
 *
 * The daemon reads the bucket anew and has the last word: other positions may share it.
 */
export function actionsFor(position: Position, leg: Leg): readonly ResolveAction[] {
  if (!showsAltered(position) || position.status !== "ACTIVE") return [];
  if (!deviates(leg) || leg.actual === null) return [];
  const part = parseDecimal(leg.actual);
  const open = parseDecimal(openQuantity(leg));
  const applicable: ResolveAction[] = [];
  if (isAcceptable(position, leg)) applicable.push("accept");
  if (signOf(part) > 0) applicable.push("rebase");
  if (signOf(open) > 0 && isGone(leg, part, open)) applicable.push("mark_closed");
  return applicable;
}

/** Crumbs of a coin are what fees leave of it; of a contract that turned around nothing is left. */
function isGone(leg: Leg, part: Decimal, open: Decimal): boolean {
  if (leg.category !== "spot") return signOf(part) <= 0;
  return compareDecimals(multiply(part, HUNDRED), open) <= 0;
}

export function planOf(action: ResolveAction, position: Position, leg: Leg): ResolvePlan {
  const name = `${directionWords(leg)} ${leg.symbol}, open`;
  const open = formatNumber(openQuantity(leg));
  switch (action) {
    case "accept":
      return {
        action,
        meaning: "The difference is your own holding, outside every position. The leg stays as it is recorded.",
        effects: [...expectedEffect(deviationOf(position, leg)), { what: name, before: open, after: open }],
      };
    case "rebase":
      return {
        action,
        meaning: "The leg is what Bybit holds of it from now on; its entry price stays.",
        effects: [{ what: name, before: open, after: formatNumber(leg.actual ?? "0") }],
      };
    case "mark_closed":
      return { action, meaning: closedMeaning(position, leg), effects: [{ what: name, before: open, after: "0" }] };
  }
}

/** A wallet has no unassigned part; a lack in a contract is nobody's holding. */
function isAcceptable(position: Position, leg: Leg): boolean {
  if (leg.category === "spot") return false;
  const row = deviationOf(position, leg);
  const held = row === null ? parseDecimal(leg.actual ?? "0") : inDirection(leg, parseDecimal(row.actual));
  return compareDecimals(held, parseDecimal(openQuantity(leg))) >= 0;
}

function expectedEffect(row: DeviationRow | null): readonly Effect[] {
  if (row === null) return [];
  const what = `Expected of ${row.symbol} on Bybit`;
  return [{ what, before: formatSigned(row.expected), after: formatSigned(row.actual) }];
}

function closedMeaning(position: Position, leg: Leg): string {
  const isLast = position.legs.every((other) => other.id === leg.id || signOf(parseDecimal(openQuantity(other))) === 0);
  const end = isLast ? " Nothing else of the position is open: the position is closed with it." : "";
  const rest = signOf(parseDecimal(leg.actual ?? "0")) < 0 ? " What is there the other way becomes your own, unassigned; what other positions lack there stays their deviation." : "";
  return `The leg is gone on Bybit; nothing of it stays open.${rest}${end}`;
}

function inDirection(leg: Leg, value: Decimal): Decimal {
  return leg.side === "Buy" ? add(value, ZERO) : subtract(ZERO, value);
}
