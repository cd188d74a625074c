import type { Holding, Holdings } from "../model/adopting";
import type { DeviationRow, JournalEntry, Past, PnlPoint } from "../model/evidence";
import { decimal, decimalOrNull, integer, list, object, text, textOrNull, wordsOrNull } from "./decode";

export function deviationRow(value: unknown): DeviationRow {
  const from = object(value, "deviation");
  return {
    id: integer(from, "id"),
    category: text(from, "category"),
    symbol: text(from, "symbol"),
    positionIdx: integer(from, "position_idx"),
    kind: text(from, "kind"),
    expected: decimal(from, "expected"),
    actual: decimal(from, "actual"),
    difference: decimal(from, "difference"),
    firstSeen: text(from, "first_seen"),
    lastVerified: text(from, "last_verified"),
    endedAt: textOrNull(from, "ended_at"),
    resolution: textOrNull(from, "resolution"),
    cause: wordsOrNull(from, "cause"),
    whileAway: from["while_away"] === true,
  };
}

export function past(value: unknown): Past {
  const from = object(value, "position");
  return {
    deviations: list(from, "deviations").map(deviationRow),
    events: list(from, "events").map(journalEntry),
  };
}

function journalEntry(value: unknown): JournalEntry {
  const from = object(value, "event");
  return {
    id: integer(from, "id"),
    at: text(from, "at"),
    kind: text(from, "kind"),
    actor: textOrNull(from, "actor"),
    data: object(from["data"] ?? {}, "data"),
  };
}

export function pnlPoints(value: unknown): readonly PnlPoint[] {
  return list(object(value, "history"), "pnl").map((item) => {
    const from = object(item, "point");
    return {
      at: text(from, "at"),
      unrealized: decimal(from, "unrealized_pnl"),
      net: decimalOrNull(from, "net_pnl"),
      currency: text(from, "currency"),
    };
  });
}

export function holdings(value: unknown): Holdings {
  const from = object(value, "holdings");
  return {
    holdings: list(from, "holdings").map(holding),
    readAt: text(from, "read_at"),
    incomplete: wordsOrNull(from, "incomplete"),
  };
}

function holding(value: unknown): Holding {
  const from = object(value, "holding");
  return {
    category: text(from, "category"),
    symbol: text(from, "symbol"),
    positionIdx: integer(from, "position_idx"),
    total: decimal(from, "total"),
    tracked: decimal(from, "tracked"),
    unassigned: decimal(from, "unassigned"),
    entryPrice: decimalOrNull(from, "entry_price"),
    price: decimalOrNull(from, "price"),
  };
}
