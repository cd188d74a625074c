import { parseDecimal, signOf } from "../model/decimal";
import type { Booked, Change, CloseLeg, CloseReport, CloseTarget, Leg, Position, Side, Verdict } from "../model/position";
import { wholePosition } from "../model/position";
import {
  decimal,
  DecodeError,
  decimalOrNull,
  flag,
  list,
  object,
  oneOf,
  text,
  textOrNull,
  wordsOrNull,
  type Json,
} from "./decode";
import { deviationRow } from "./evidence";

const SIDES: readonly Side[] = ["Buy", "Sell"];

/** One reader per field of a position; the wire's name, then how it is read. */
const FIELDS: { readonly [Key in Exclude<keyof Position, "id">]: Field<Position[Key]> } = {
  accountId: ["account_id", text],
  name: ["name", text],
  note: ["note", text],
  tags: ["tags", tags],
  status: ["status", (from, key) => oneOf(from, key, ["ACTIVE", "CLOSING", "CLOSED"])],
  isAltered: ["is_altered", flag],
  verdict: ["verdict", verdict],
  verdictReason: ["verdict_reason", wordsOrNull],
  unrealizedPnl: ["unrealized_pnl", decimalOrNull],
  netPnl: ["net_pnl", decimalOrNull],
  pnlCurrency: ["pnl_currency", text],
  pnlIncomplete: ["pnl_incomplete", wordsOrNull],
  fees: ["fees", decimalOrNull],
  funding: ["funding", decimalOrNull],
  realizedPnl: ["realized_pnl", decimalOrNull],
  booked: ["booked", (from, key) => list(from, key).map(booked)],
  bookedIncomplete: ["booked_incomplete", wordsOrNull],
  openedAt: ["opened_at", text],
  verifiedAt: ["verified_at", textOrNull],
  legs: ["components", (from, key) => list(from, key).map(leg)],
  deviations: ["deviations", (from, key) => list(from, key).map(deviationRow)],
  lastClose: ["last_close", (from, key) => (isNothing(from[key]) ? null : closeReport(from[key]))],
};

type Field<Value> = readonly [wireName: string, read: (from: Json, key: string) => Value];

/** A position as the API lists it. */
export function position(value: unknown): Position {
  const { id, fields } = change(value);
  const whole = wholePosition(id, fields);
  if (whole === null) throw new DecodeError(`position ${id}`, "whole");
  return whole;
}

/** What a delta carries: only the fields that are present are read. */
export function change(value: unknown): Change {
  const from = object(value, "change");
  const present = Object.entries(FIELDS).filter(([, [wireName]]) => from[wireName] !== undefined);
  const fields: Partial<Position> = Object.fromEntries(
    present.map(([key, [wireName, read]]) => [key, read(from, wireName)]),
  );
  return { id: text(from, "id"), removed: from["removed"] === true, fields };
}

export function closeReport(value: unknown): CloseReport {
  const from = object(value, "close");
  return {
    closeId: text(from, "close_id"),
    state: text(from, "state"),
    code: textOrNull(from, "code"),
    detail: wordsOrNull(from, "detail"),
    fraction: decimalOrNull(from, "fraction"),
    isOfSet: !isNothing(from["set_id"]),
    targets: isNothing(from["targets"]) ? [] : list(from, "targets").map(closeTarget),
    legs: isNothing(from["legs"]) ? [] : list(from, "legs").map(closeLeg),
  };
}

function closeTarget(value: unknown): CloseTarget {
  const from = object(value, "close target");
  return {
    componentId: text(from, "component_id"),
    open: decimal(from, "open"),
    quantity: decimal(from, "quantity"),
  };
}

function closeLeg(value: unknown): CloseLeg {
  const from = object(value, "close leg");
  return {
    componentId: text(from, "component_id"),
    outcome: textOrNull(from, "outcome") ?? "unknown",
    filled: decimalOrNull(from, "filled"),
    detail: wordsOrNull(from, "detail"),
  };
}

function booked(value: unknown): Booked {
  const from = object(value, "booked");
  return {
    coin: text(from, "coin"),
    fees: decimal(from, "fees"),
    funding: decimal(from, "funding"),
    realizedPnl: decimal(from, "realized_pnl"),
  };
}

function leg(value: unknown): Leg {
  const from = object(value, "component");
  const difference = decimalOrNull(from, "difference");
  return {
    id: text(from, "id"),
    category: text(from, "category"),
    symbol: text(from, "symbol"),
    coin: textOrNull(from, "coin"),
    side: oneOf(from, "side", SIDES),
    quantity: decimal(from, "quantity"),
    recordedQuantity: decimalOrNull(from, "recorded_quantity") ?? decimal(from, "quantity"),
    closedQuantity: decimalOrNull(from, "closed_quantity") ?? "0",
    entryPrice: decimal(from, "entry_price"),
    price: decimalOrNull(from, "price"),
    priceBasis: textOrNull(from, "price_basis") ?? "price",
    priceAt: textOrNull(from, "price_at"),
    unrealizedPnl: decimalOrNull(from, "unrealized_pnl"),
    pnlCurrency: textOrNull(from, "pnl_currency"),
    actual: decimalOrNull(from, "actual"),
    difference,
    // Without the daemon's own word on it, any difference counts.
    deviates: typeof from["deviates"] === "boolean" ? from["deviates"] : isOff(difference),
    note: wordsOrNull(from, "note"),
  };
}

function isOff(difference: string | null): boolean {
  return difference !== null && signOf(parseDecimal(difference)) !== 0;
}

/** A verdict this page does not know is a doubt, and a doubt is Unverified. */
export function verdict(from: Json, key: string): Verdict {
  const word = text(from, key);
  return word === "in_sync" || word === "altered" ? word : "unverified";
}

function tags(from: Json, key: string): readonly string[] {
  return list(from, key).filter((tag) => typeof tag === "string");
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null;
}
