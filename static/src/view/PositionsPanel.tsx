import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Desk } from "../api/desk";
import { LEDGER, type Ledger } from "../api/ledger";
import type { Storage } from "../api/storage";
import { isCurrent, type Book } from "../model/book";
import { matching, type Entry, type SortOrder } from "../model/listing";
import { isClosing, showsAltered } from "../model/standing";
import { AdoptModal } from "./AdoptModal";
import { CloseModal } from "./CloseModal";
import { EmptyState } from "./EmptyState";
import { useKept } from "./live";
import { PositionRow, type RowActions } from "./PositionRow";
import { keptExpanded, keptOrder } from "./settings";
import { SortHead, SortSelect } from "./SortControls";
import { useSteadyOrder } from "./steadyOrder";
import { Totals } from "./Totals";

interface Props {
  readonly desk: Pick<Desk, "close" | "dispatch" | "labels">;
  readonly book: Book;
  readonly now: number;
  readonly storage: Storage;
  readonly ledger?: Ledger;
}

/** The open positions: watched, sorted, filtered, closed. */
export function PositionsPanel({ desk, book, now, storage, ledger = LEDGER }: Props) {
  const [order, setOrder] = useKept(storage, "positiond.order", keptOrder);
  const [expanded, setExpanded] = useKept(storage, "positiond.expanded", keptExpanded);
  const [filter, setFilter] = useState("");
  const [asked, setAsked] = useState<string | null>(null);
  const [isAdopting, setAdopting] = useState(false);
  const [isHeld, setHeld] = useState(false);

  const entries = entriesOf(book, desk.labels);
  const shown = useSteadyOrder(matching(entries, filter), order, isHeld);
  const actions = useActions(desk, setAsked, (id) => setExpanded(toggled(expanded, id)));
  const askedFor = asked === null ? undefined : book.positions.get(asked);

  return (
    <section class="panel" data-testid="positions-panel" data-current={isCurrent(book)} aria-labelledby="panel-title">
      <Toolbar entries={entries} filter={filter} onFilter={setFilter} order={order} onOrder={setOrder} isStale={!isFresh(book)} onAdopt={() => setAdopting(true)} />
      {book.seq === null ? (
        <p class="empty" role="status">Waiting for the positions…</p>
      ) : entries.length === 0 ? (
        <EmptyState />
      ) : (
        <table
          class={`positions ${isFresh(book) ? "" : "stale"}`}
          onPointerEnter={() => setHeld(true)}
          onPointerLeave={() => setHeld(false)}
        >
          <SortHead order={order} onOrder={setOrder} />
          {shown.map((entry) => (
            <PositionRow
              key={entry.position.id}
              entry={entry}
              isExpanded={expanded.includes(entry.position.id)}
              now={now}
              actions={actions}
              ledger={ledger}
            />
          ))}
          {shown.length === 0 && (
            <tbody><tr><td class="nothing" colSpan={6}>No position matches “{filter}”.</td></tr></tbody>
          )}
          <Totals positions={shown.map((entry) => entry.position)} count={entries.length} />
        </table>
      )}
      {askedFor !== undefined && asked !== null && (
        <CloseModal
          key={asked}
          position={askedFor}
          isClosing={isClosing(askedFor, book.pending.get(asked))}
          onCancel={() => setAsked(null)}
          onConfirm={() => {
            setAsked(null);
            desk.close(asked);
          }}
        />
      )}
      {isAdopting && <AdoptModal accounts={desk.labels} ledger={ledger} onEnd={() => setAdopting(false)} />}
    </section>
  );
}

function useActions(
  desk: Props["desk"],
  ask: (id: string) => void,
  toggle: (id: string) => void,
): RowActions {
  // Rows are skipped while their props stay the same, so the actions must not change with each frame.
  const latest = useRef(toggle);
  latest.current = toggle;
  return useMemo(
    () => ({
      onToggle: (id) => latest.current(id),
      onClose: ask,
      onDismiss: (id) => desk.dispatch({ kind: "close-dismissed", id }),
    }),
    [desk, ask],
  );
}

interface ToolbarProps {
  readonly entries: readonly Entry[];
  readonly filter: string;
  readonly onFilter: (filter: string) => void;
  readonly order: SortOrder;
  readonly onOrder: (order: SortOrder) => void;
  readonly isStale: boolean;
  readonly onAdopt: () => void;
}

function Toolbar({ entries, filter, onFilter, order, onOrder, isStale, onAdopt }: ToolbarProps) {
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

/** The page hears the daemon, and the daemon hears the market. */
function isFresh(book: Book): boolean {
  return isCurrent(book) && (book.feed === null || book.feed.public === "live");
}

function entriesOf(book: Book, labels: ReadonlyMap<string, string>): readonly Entry[] {
  // With a single account its name tells nothing.
  const isTold = labels.size > 1;
  return [...book.positions.values()].map((position) => ({
    position,
    pending: book.pending.get(position.id),
    accountLabel: isTold ? (labels.get(position.accountId) ?? null) : null,
  }));
}

function toggled(expanded: readonly string[], id: string): readonly string[] {
  return expanded.includes(id) ? expanded.filter((other) => other !== id) : [...expanded, id];
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null;
}
