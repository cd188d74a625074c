import { useMemo, useState } from "preact/hooks";
import { newKey } from "../api/intents";
import type { Ledger } from "../api/ledger";
import { adoptable, faultOf, type Picked } from "../model/adopting";
import { Fault } from "./Fault";
import { HoldingPicker } from "./HoldingPicker";
import { useAttempt, useFetched } from "./live";
import { Modal } from "./Modal";

interface Props {
  readonly accounts: ReadonlyMap<string, string>;
  readonly ledger: Pick<Ledger, "holdings" | "record">;
  readonly onEnd: () => void;
}

/** Records what Bybit holds already as a position: picks the legs from the account's holdings. */
export function AdoptModal({ accounts, ledger, onEnd }: Props) {
  const [accountId, setAccountId] = useState(() => [...accounts.keys()][0] ?? "");
  const [picks, setPicks] = useState<ReadonlyMap<string, Picked>>(new Map());
  const externalId = useMemo(() => `dashboard-${newKey()}`, []);
  const attempt = useAttempt();
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    const name = new FormData(event.currentTarget as HTMLFormElement).get("name");
    const chosen = [...picks.values()];
    const fault = chosen.length === 0 ? "Pick at least one leg." : firstFault(chosen);
    if (fault !== null) return attempt.fail(fault);
    const legs = chosen.map((pick) => pick.draft);
    attempt.run(() => ledger.record({ accountId, name: String(name).trim(), externalId, legs }), onEnd);
  };

  return (
    <Modal name="adopt" title="Record a position" onCancel={onEnd} isWide={true}>
      <p class="muted">Its legs are what you hold on Bybit already. Recording sends no order.</p>
      <form onSubmit={onSubmit}>
        <label>Name <input name="name" data-first required maxLength={200} /></label>
        <label>
          Account
          <select
            value={accountId}
            onChange={(event) => {
              setAccountId(event.currentTarget.value);
              setPicks(new Map());
            }}
          >
            {[...accounts].map(([id, label]) => <option key={id} value={id}>{label}</option>)}
          </select>
        </label>
        {accountId === "" ? (
          <p class="muted">There is no account to record in yet.</p>
        ) : (
          <Holdings key={accountId} accountId={accountId} ledger={ledger} picks={picks} onPicks={setPicks} />
        )}
        <Fault text={attempt.fault} testId="adopt-fault" />
        <div class="modal-actions">
          <button class="button" type="button" onClick={onEnd}>Cancel</button>
          <button class="button primary" type="submit" data-testid="confirm-adopt" disabled={attempt.isBusy || accountId === ""}>
            {attempt.isBusy ? "Recording…" : "Record"}
          </button>
        </div>
      </form>
    </Modal>
  );
}

interface HoldingsProps {
  readonly accountId: string;
  readonly ledger: Pick<Ledger, "holdings">;
  readonly picks: ReadonlyMap<string, Picked>;
  readonly onPicks: (picks: ReadonlyMap<string, Picked>) => void;
}

function Holdings({ accountId, ledger, picks, onPicks }: HoldingsProps) {
  const { value, fault } = useFetched(() => ledger.holdings(accountId), accountId);
  if (fault !== null) return <Fault text={`The holdings could not be read: ${fault}`} />;
  if (value === null) return <p role="status">Reading what Bybit holds…</p>;
  const offered = value.holdings.filter((holding) => adoptable(holding) !== null);
  return (
    <>
      {value.incomplete !== null && <p class="callout doubt">Not everything could be read: {value.incomplete}</p>}
      {offered.length === 0 ? (
        <p class="muted" data-testid="nothing-free">Everything that Bybit holds here is tracked by a position.</p>
      ) : (
        <HoldingPicker holdings={offered} picks={picks} onPicks={onPicks} />
      )}
    </>
  );
}

function firstFault(picks: readonly Picked[]): string | null {
  for (const { holding, draft } of picks) {
    const fault = faultOf(draft, holding);
    if (fault !== null) return fault;
  }
  return null;
}
