import { useRef } from "preact/hooks";
import { sorted, type Entry, type SortOrder } from "../model/listing";

interface Held {
  readonly order: SortOrder;
  readonly ids: readonly string[];
}

/**
 * The entries in order; while the pointer is over the table the order stands still.
 *
 * P&L moves with every tick: a row that jumped away under the pointer would have somebody press
 * the Close button of another one.
 */
export function useSteadyOrder(
  entries: readonly Entry[],
  order: SortOrder,
  isHeld: boolean,
): readonly Entry[] {
  const held = useRef<Held | null>(null);
  const before = held.current;
  const fresh = sorted(entries, order);
  const shown = isHeld && before?.order === order ? inOrderOf(before.ids, fresh) : fresh;
  held.current = { order, ids: shown.map((entry) => entry.position.id) };
  return shown;
}

/** Those known before in their old order, then the new ones. */
function inOrderOf(ids: readonly string[], entries: readonly Entry[]): readonly Entry[] {
  const byId = new Map(entries.map((entry) => [entry.position.id, entry]));
  const known = ids.flatMap((id) => byId.get(id) ?? []);
  const old = new Set(ids);
  return [...known, ...entries.filter((entry) => !old.has(entry.position.id))];
}
