import { compareDecimals, parseDecimal } from "./decimal";
import type { PendingClose } from "./closing";
import type { Position } from "./position";
import { showsAltered, standingOf } from "./standing";

export type Column = "name" | "status" | "pnl" | "net" | "age";

export interface SortOrder {
  readonly column: Column;
  readonly descending: boolean;
}

/** A position with what the list needs to know beside it. */
export interface Entry {
  readonly position: Position;
  readonly pending: PendingClose | undefined;
  readonly accountLabel: string | null;
}

/** A click on a header: the same column turns around, another one starts at its natural end. */
export function nextOrder(order: SortOrder, column: Column): SortOrder {
  if (order.column === column) return { column, descending: !order.descending };
  return { column, descending: column === "pnl" || column === "net" };
}

/** Those that match every word of the filter, in name, symbols, tags, account or status. */
export function matching(entries: readonly Entry[], filter: string): readonly Entry[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return entries;
  return entries.filter((entry) => {
    const text = searchText(entry);
    return words.every((word) => text.includes(word));
  });
}

export function sorted(entries: readonly Entry[], order: SortOrder): readonly Entry[] {
  const turn = order.descending ? -1 : 1;
  return [...entries].sort(
    (left, right) => compareBy(order, left, right, turn) || byText(left.position.id, right.position.id),
  );
}

function compareBy(order: SortOrder, left: Entry, right: Entry, turn: number): number {
  switch (order.column) {
    case "name":
      return turn * byText(left.position.name.toLowerCase(), right.position.name.toLowerCase());
    case "status":
      return turn * (rank(left) - rank(right));
    case "pnl":
      return byMoney(left.position.unrealizedPnl, right.position.unrealizedPnl, turn);
    case "net":
      return byMoney(left.position.netPnl, right.position.netPnl, turn);
    case "age":
      // Ascending age is the youngest first: the latest opening time.
      return turn * byText(right.position.openedAt, left.position.openedAt);
  }
}

/** Unpriced rows stand at the end whichever way the column is turned. */
function byMoney(left: string | null, right: string | null, turn: number): number {
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  return turn * compareDecimals(parseDecimal(left), parseDecimal(right));
}

/** What needs a person comes first. */
function rank({ position, pending }: Entry): number {
  if (showsAltered(position)) return 0;
  return { unverified: 1, closing: 2, open: 3 }[standingOf(position, pending)];
}

function byText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function searchText({ position, pending, accountLabel }: Entry): string {
  const altered = showsAltered(position) ? ["altered"] : [];
  const inSync = position.verdict === "in_sync" ? ["in sync"] : [];
  const symbols = position.legs.map((leg) => `${leg.symbol} ${leg.category}`);
  const standing = standingOf(position, pending);
  return [position.name, accountLabel ?? "", standing, ...altered, ...inSync, ...symbols, ...position.tags]
    .join(" ")
    .toLowerCase();
}
