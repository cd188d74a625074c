import { useState } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { hasEnded, type Position } from "../model/position";
import { showsAltered } from "../model/standing";
import { Breakdown } from "./Breakdown";
import { Deviations } from "./Deviations";
import { EditModal } from "./EditModal";
import { History } from "./History";
import { Journal } from "./Journal";
import { LastClose } from "./LastClose";
import { LegTable } from "./LegTable";
import { Recheck } from "./Recheck";
import { RunningClose } from "./RunningClose";

interface Props {
  readonly position: Position;
  readonly now: number;
  readonly ledger: Ledger;
}

/** What stands behind a row. */
export function Details({ position, now, ledger }: Props) {
  const [isEdited, setEdited] = useState(false);
  const close = position.lastClose;
  const running = close !== null && !hasEnded(close) ? close : null;
  const ended = close !== null && hasEnded(close) ? close : null;
  return (
    <div class="details">
      {running !== null && <RunningClose key={running.closeId} position={position} close={running} ledger={ledger} />}
      {showsAltered(position) && <Deviations position={position} now={now} ledger={ledger} />}
      {position.verdict === "unverified" && (
        <p class="callout doubt">Neither in sync nor altered is claimed: {position.verdictReason ?? "there is no verdict"}.</p>
      )}
      <LegTable position={position} now={now} />
      <Breakdown position={position} now={now} />
      <History positionId={position.id} ledger={ledger} minute={Math.floor(now / 60_000)} />
      {position.note !== "" && <p class="position-note">{position.note}</p>}
      {ended !== null && <LastClose position={position} close={ended} />}
      <Journal position={position} ledger={ledger} />
      <p class="details-actions">
        <Recheck accountId={position.accountId} ledger={ledger} />
        <button class="button" type="button" data-testid="edit" onClick={() => setEdited(true)}>Name and notes…</button>
        {position.tags.map((tag) => <span key={tag} class="chip">{tag}</span>)}
      </p>
      {isEdited && <EditModal position={position} ledger={ledger} onEnd={() => setEdited(false)} />}
    </div>
  );
}
