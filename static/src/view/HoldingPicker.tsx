import { adoptable, keyOf, type Holding, type LegDraft, type Picked } from "../model/adopting";
import { formatSigned } from "../model/money";

interface Props {
  readonly holdings: readonly Holding[];
  readonly picks: ReadonlyMap<string, Picked>;
  readonly onPicks: (picks: ReadonlyMap<string, Picked>) => void;
}

/** What can be recorded, each with what to record of it once it is picked. */
export function HoldingPicker({ holdings, picks, onPicks }: Props) {
  const put = (holding: Holding, draft: LegDraft | null) => {
    const next = new Map(picks);
    if (draft === null) next.delete(keyOf(holding));
    else next.set(keyOf(holding), { holding, draft });
    onPicks(next);
  };
  return (
    <ul class="orders" aria-label="Holdings">
      {holdings.map((holding) => (
        <li key={keyOf(holding)} data-testid="holding" data-symbol={holding.symbol}>
          <label class="pick">
            <input
              type="checkbox"
              checked={picks.has(keyOf(holding))}
              onChange={(event) => put(holding, event.currentTarget.checked ? adoptable(holding) : null)}
            />
            <strong>{holding.symbol}</strong> <span class="muted">{holding.category}</span>
          </label>
          <span class="muted">holds {formatSigned(holding.total)}, tracked {formatSigned(holding.tracked)}</span>
          <Draft draft={picks.get(keyOf(holding))?.draft} onDraft={(draft) => put(holding, draft)} />
        </li>
      ))}
    </ul>
  );
}

interface DraftProps {
  readonly draft: LegDraft | undefined;
  readonly onDraft: (draft: LegDraft) => void;
}

function Draft({ draft, onDraft }: DraftProps) {
  if (draft === undefined) return null;
  return (
    <span class="draft">
      <span class={draft.side === "Buy" ? "direction long" : "direction short"}>{draft.side === "Buy" ? "Long" : "Short"}</span>
      {draft.category === "spot" && (
        <label>
          Symbol <input value={draft.symbol} size={12} onInput={(event) => onDraft({ ...draft, symbol: event.currentTarget.value })} />
        </label>
      )}
      <label>
        Quantity <input value={draft.quantity} size={10} inputMode="decimal" onInput={(event) => onDraft({ ...draft, quantity: event.currentTarget.value })} />
      </label>
      <label>
        Entry price <input value={draft.entryPrice} size={10} inputMode="decimal" onInput={(event) => onDraft({ ...draft, entryPrice: event.currentTarget.value })} />
      </label>
    </span>
  );
}
