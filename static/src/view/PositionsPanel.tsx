import { useMemo, useRef, useState } from "preact/hooks";
import type { Desk } from "../api/desk";
import { LEDGER, type Ledger } from "../api/ledger";
import type { Storage } from "../api/storage";
import { isCurrent, type Book } from "../model/book";
import type { CloseTerms } from "../model/closePlan";
import { matching, type Entry } from "../model/listing";
import type { Position } from "../model/position";
import { isClosing } from "../model/standing";
import { AdoptModal } from "./AdoptModal";
import { CloseModal } from "./CloseModal";
import { CloseSetModal } from "./CloseSetModal";
import { EmptyState } from "./EmptyState";
import { useKept } from "./live";
import { PositionRow, type RowActions } from "./PositionRow";
import { keptExpanded, keptOrder } from "./settings";
import { SelectionBar } from "./SelectionBar";
import { SortHead } from "./SortControls";
import { useSteadyOrder } from "./steadyOrder";
import { Toolbar } from "./Toolbar";
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
  /** What is being asked about: one position, or several that would close together. */
  const [asked, setAsked] = useState<readonly string[]>([]);
  const [ticked, setTicked] = useState<readonly string[]>([]);
  const [isAdopting, setAdopting] = useState(false);
  const [isHeld, setHeld] = useState(false);

  const entries = entriesOf(book, desk.labels);
  const shown = useSteadyOrder(matching(entries, filter), order, isHeld);
  const actions = useActions(desk, {
    onToggle: (id) => setExpanded(toggled(expanded, id)),
    // A stalled request of several is asked again as what it was.
    onClose: (id) => setAsked(together(book, id)),
    onSelect: (id) => setTicked(toggled(ticked, id)),
  });
  const selected = ticked.flatMap((id) => standing(book, id));
  const end = () => setAsked([]);
  const onConfirm = (terms: CloseTerms) => {
    end();
    setTicked([]);
    // Agreed to is what was shown; a stalled request must be the very same one again.
    const isAgain = asked.some((id) => together(book, id).length > 1);
    desk.close(isAgain ? asked : asked.filter((id) => book.positions.has(id)), terms);
  };

  return (
    <section class="panel" data-testid="positions-panel" data-current={isCurrent(book)} aria-labelledby="panel-title">
      <Toolbar entries={entries} filter={filter} onFilter={setFilter} order={order} onOrder={setOrder} isStale={!isFresh(book)} onAdopt={() => setAdopting(true)} />
      <SelectionBar selected={selected} onClose={() => setAsked(selected.map(({ id }) => id))} onClear={() => setTicked([])} />
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
              isSelected={selected.some(({ id }) => id === entry.position.id)}
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
      <AskedModal asked={asked} book={book} now={now} ledger={ledger} onConfirm={onConfirm} onCancel={end} />
      {isAdopting && <AdoptModal accounts={desk.labels} ledger={ledger} onEnd={() => setAdopting(false)} />}
    </section>
  );
}

interface AskedProps {
  readonly asked: readonly string[];
  readonly book: Book;
  readonly now: number;
  readonly ledger: Ledger;
  readonly onConfirm: (terms: CloseTerms) => void;
  readonly onCancel: () => void;
}

function AskedModal({ asked, book, now, ledger, onConfirm, onCancel }: AskedProps) {
  const positions = asked.flatMap((id) => book.positions.get(id) ?? []);
  const [first] = positions;
  if (first === undefined) return null;
  const closing = positions.some((position) => isClosing(position, book.pending.get(position.id)));
  const way = { isClosing: closing, onConfirm, onCancel };
  if (asked.length > 1) return <CloseSetModal positions={positions} {...way} />;
  return <CloseModal key={first.id} position={first} now={now} ledger={ledger} {...way} />;
}

type PanelActions = Omit<RowActions, "onDismiss">;

function useActions(desk: Props["desk"], actions: PanelActions): RowActions {
  // Rows are skipped while their props stay the same, so the actions must not change with each frame.
  const latest = useRef(actions);
  latest.current = actions;
  return useMemo(
    () => ({
      onToggle: (id) => latest.current.onToggle(id),
      onClose: (id) => latest.current.onClose(id),
      onSelect: (id) => latest.current.onSelect(id),
      onDismiss: (id) => desk.dispatch({ kind: "close-dismissed", id }),
    }),
    [desk],
  );
}

function together(book: Book, id: string): readonly string[] {
  const asked = book.pending.get(id)?.together ?? [];
  return asked.length > 1 ? asked : [id];
}

/** The position, while it is there to be closed. */
function standing(book: Book, id: string): readonly Position[] {
  const position = book.positions.get(id);
  return position === undefined || isClosing(position, book.pending.get(id)) ? [] : [position];
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
