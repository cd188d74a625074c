import type { Position } from "../model/position";

interface Props {
  readonly selected: readonly Position[];
  readonly onClose: () => void;
  readonly onClear: () => void;
}

/** What can be done with the positions that are ticked. */
export function SelectionBar({ selected, onClose, onClear }: Props) {
  if (selected.length === 0) return null;
  const isOfOneAccount = new Set(selected.map((position) => position.accountId)).size === 1;
  return (
    <p class="selection" role="status" data-testid="selection">
      <span>{selected.length} selected</span>
      <button
        class="button danger"
        type="button"
        data-testid="close-together"
        disabled={!isOfOneAccount || selected.length < 2}
        onClick={onClose}
      >
        Close together…
      </button>
      <button class="link" type="button" data-testid="clear-selection" onClick={onClear}>Clear</button>
      {!isOfOneAccount && <span class="muted">Only positions of one account close together.</span>}
    </p>
  );
}
