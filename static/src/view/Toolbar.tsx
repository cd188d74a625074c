import { useEffect, useRef } from "preact/hooks";
import type { Entry, SortOrder } from "../model/listing";
import { showsAltered } from "../model/standing";
import { SortSelect } from "./SortControls";

interface ToolbarProps {
  readonly entries: readonly Entry[];
  readonly filter: string;
  readonly onFilter: (filter: string) => void;
  readonly order: SortOrder;
  readonly onOrder: (order: SortOrder) => void;
  readonly isStale: boolean;
  readonly onAdopt: () => void;
}

/** Above the table: how many there are, the filter, and a way to add one. */
export function Toolbar({ entries, filter, onFilter, order, onOrder, isStale, onAdopt }: ToolbarProps) {
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event.target)) return;
      event.preventDefault();
      search.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const altered = entries.filter((entry) => showsAltered(entry.position)).length;

  return (
    <div class="toolbar">
      <h1 id="panel-title">
        Positions <span class="count">{entries.length}</span>
        {altered > 0 && <button class="count alarm" type="button" onClick={() => onFilter("altered")}>{altered} altered</button>}
        {isStale && entries.length > 0 && <span class="badge unverified" role="status" data-testid="stale">stale numbers</span>}
      </h1>
      <input
        ref={search}
        class="search"
        type="search"
        placeholder="Filter by name, symbol, status…  /"
        aria-label="Filter positions"
        data-testid="filter"
        value={filter}
        onInput={(event) => onFilter(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && onFilter("")}
      />
      <SortSelect order={order} onOrder={onOrder} />
      <button class="button" type="button" data-testid="adopt" onClick={onAdopt}>Record a position…</button>
    </div>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null;
}
