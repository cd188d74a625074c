import type { SortOrder } from "../model/listing";
import { COLUMNS } from "./SortControls";

const DEFAULT_ORDER: SortOrder = { column: "name", descending: false };
const MOST_KEPT = 200;

/** The sort order as it was kept, or the usual one. */
export function keptOrder(kept: unknown): SortOrder {
  if (typeof kept !== "object" || kept === null) return DEFAULT_ORDER;
  const { column, descending } = { column: null, descending: false, ...kept };
  const known = COLUMNS.find(([name]) => name === column);
  return known === undefined ? DEFAULT_ORDER : { column: known[0], descending: descending === true };
}

/** The ids of expanded rows; the oldest are let go, since closed positions never leave the list. */
export function keptExpanded(kept: unknown): readonly string[] {
  if (!Array.isArray(kept)) return [];
  return kept.filter((id) => typeof id === "string").slice(-MOST_KEPT);
}
