import { useMemo } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { age } from "../model/age";
import type { Entry } from "../model/listing";
import { isClosing } from "../model/standing";
import { Details } from "./Details";
import { ChevronIcon } from "./icons";
import { Money } from "./Money";
import { StatusCell } from "./StatusCell";

export interface RowActions {
  readonly onToggle: (id: string) => void;
  readonly onClose: (id: string) => void;
  readonly onDismiss: (id: string) => void;
  readonly onSelect: (id: string) => void;
}

interface Props {
  readonly entry: Entry;
  readonly isExpanded: boolean;
  readonly isSelected: boolean;
  /** What the daemon's clock says. */
  readonly now: number;
  readonly actions: RowActions;
  readonly ledger: Ledger;
}

/** One position: its row, and below it what stands behind the row. */
export function PositionRow({ entry, isExpanded, isSelected, now, actions, ledger }: Props) {
  const { position, pending, accountLabel } = entry;
  const since = age(position.openedAt, now);
  // Folded, a row shows of the clock only its age; unfolded, seconds.
  const moment = isExpanded ? now : since;
  // The same node again tells Preact to skip the row: most rows do not change in a frame.
  return useMemo(
    () => <Row entry={entry} isExpanded={isExpanded} isSelected={isSelected} now={now} since={since} actions={actions} ledger={ledger} />,
    [position, pending, accountLabel, isExpanded, isSelected, moment, actions, ledger],
  );
}

function Row({ entry, isExpanded, isSelected, now, since, actions, ledger }: Props & { readonly since: string }) {
  const { position, pending } = entry;
  const closing = isClosing(position, pending);
  const detailsId = `details-${position.id}`;
  return (
    <tbody class={`position ${isExpanded ? "expanded" : ""} ${closing ? "is-closing" : ""}`}>
      <tr
        data-testid="position-row"
        data-position-id={position.id}
        data-status={closing ? "CLOSING" : position.status}
        data-verdict={position.verdict}
      >
        <NameCell entry={entry} isExpanded={isExpanded} isSelected={isSelected} isClosing={closing} detailsId={detailsId} actions={actions} />
        <td class="cell-status">
          <StatusCell position={position} pending={pending} onDismiss={() => actions.onDismiss(position.id)} />
        </td>
        <td class="number cell-pnl" data-label="Unrealized">
          <Money amount={position.pnlIncomplete === null ? position.unrealizedPnl : null} currency={position.pnlCurrency} reason={position.pnlIncomplete} testId="pnl" />
        </td>
        <td class="number cell-net" data-label="Net">
          <Money amount={position.pnlIncomplete === null ? position.netPnl : null} currency={position.pnlCurrency} reason={position.pnlIncomplete === null ? position.bookedIncomplete : null} testId="net-pnl" />
        </td>
        <td class="number cell-age" data-label="Age">{since}</td>
        <td class="cell-actions">
          <button
            class="button danger"
            type="button"
            data-testid="close-button"
            aria-label={`Close position ${position.name}`}
            disabled={closing}
            onClick={() => actions.onClose(position.id)}
          >
            {closing ? "Closing…" : pending?.phase === "stalled" ? "Ask again" : "Close"}
          </button>
        </td>
      </tr>
      {isExpanded && (
        <tr class="details-row" id={detailsId}>
          <td colSpan={6}><Details position={position} now={now} ledger={ledger} /></td>
        </tr>
      )}
    </tbody>
  );
}

interface NameProps {
  readonly entry: Entry;
  readonly isExpanded: boolean;
  readonly isSelected: boolean;
  readonly isClosing: boolean;
  readonly detailsId: string;
  readonly actions: RowActions;
}

function NameCell({ entry, isExpanded, isSelected, isClosing, detailsId, actions }: NameProps) {
  const { position, accountLabel } = entry;
  return (
    <th scope="row" class="cell-name">
      <input
        class="select"
        type="checkbox"
        data-testid="select"
        aria-label={`Select ${position.name}`}
        checked={isSelected}
        disabled={isClosing}
        onChange={() => actions.onSelect(position.id)}
      />
      <button
        class="expander"
        type="button"
        data-testid="expand-button"
        aria-expanded={isExpanded}
        aria-controls={detailsId}
        onClick={() => actions.onToggle(position.id)}
      >
        <ChevronIcon />
        <span class="name">{position.name}</span>
      </button>
      <div class="chips">
        {position.legs.map((leg) => (
          <span key={leg.id} class={`chip ${leg.side === "Buy" ? "long" : "short"}`} title={`${leg.side === "Buy" ? "Long" : "Short"} ${leg.symbol}, ${leg.category}`}>
            <span aria-hidden="true">{leg.side === "Buy" ? "▲" : "▼"}</span> {leg.symbol}
          </span>
        ))}
        {accountLabel !== null && <span class="account">{accountLabel}</span>}
      </div>
    </th>
  );
}
