import { useState } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { age } from "../model/age";
import { deviationOf } from "../model/evidence";
import { formatNumber, formatSigned } from "../model/money";
import { openQuantity, type Leg, type Position } from "../model/position";
import { ACTION_TITLES, actionsFor, type ResolveAction } from "../model/resolving";
import { deviates } from "../model/standing";
import { directionWords, kindWords } from "../model/words";
import { WarningIcon } from "./icons";
import { ResolveModal } from "./ResolveModal";

interface Props {
  readonly position: Position;
  readonly now: number;
  readonly ledger: Pick<Ledger, "resolve">;
}

interface Asked {
  readonly legId: string;
  readonly action: ResolveAction;
}

/** Each leg that deviates: by how much, why, since when, and what can be done about it. */
export function Deviations({ position, now, ledger }: Props) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const off = position.legs.filter(deviates);
  const askedLeg = position.legs.find((leg) => leg.id === asked?.legId);
  return (
    <section class="deviations" aria-label="Deviations">
      {off.length === 0 && <p class="callout">What Bybit holds differs from what is recorded.</p>}
      {off.map((leg) => (
        <LegDeviation key={leg.id} position={position} leg={leg} now={now} onAsk={(action) => setAsked({ legId: leg.id, action })} />
      ))}
      {asked !== null && askedLeg !== undefined && (
        <ResolveModal action={asked.action} position={position} leg={askedLeg} ledger={ledger} onEnd={() => setAsked(null)} />
      )}
    </section>
  );
}

interface LegProps {
  readonly position: Position;
  readonly leg: Leg;
  readonly now: number;
  readonly onAsk: (action: ResolveAction) => void;
}

function LegDeviation({ position, leg, now, onAsk }: LegProps) {
  const row = deviationOf(position, leg);
  const actions = actionsFor(position, leg);
  return (
    <div class="callout deviation" data-testid="deviation" data-symbol={leg.symbol}>
      <p>
        <WarningIcon />{" "}
        <strong>
          {directionWords(leg)} {leg.symbol} {leg.difference === null ? "" : formatSigned(leg.difference)}
        </strong>{" "}
        {row !== null && `${kindWords(row.kind)}: `}
        {formatNumber(openQuantity(leg))} is recorded as open, {leg.actual === null ? "—" : formatNumber(leg.actual)} is its part on Bybit.
      </p>
      <p data-testid="deviation-cause">{row?.cause ?? "The cause is not known."}</p>
      {row !== null && (
        <p class="deviation-times">
          First seen {age(row.firstSeen, now)} ago · last verified {age(row.lastVerified, now)} ago
        </p>
      )}
      {actions.length === 0 && position.status === "ACTIVE" && (
        <p data-testid="no-action">No change of this leg alone would match what Bybit holds: put it right there, or resolve another position first.</p>
      )}
      {actions.length > 0 && (
        <p class="deviation-actions">
          {actions.map((action) => (
            <button key={action} class="button" type="button" data-testid={`resolve-${action}`} onClick={() => onAsk(action)}>
              {ACTION_TITLES[action]}…
            </button>
          ))}
        </p>
      )}
    </div>
  );
}
