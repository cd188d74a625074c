import { formatSigned } from "../model/money";
import type { PendingClose } from "../model/closing";
import { worstCause } from "../model/evidence";
import { hasEnded, type Position } from "../model/position";
import { failedClose, showsAltered, standingOf, worstLeg, type Standing } from "../model/standing";
import { failureWords, stateWords } from "../model/words";
import { CheckIcon, QuestionIcon, SpinnerIcon, WarningIcon } from "./icons";

interface Props {
  readonly position: Position;
  readonly pending: PendingClose | undefined;
  readonly onDismiss: () => void;
}

/** The state of a position: its standing, what deviates, and what its last close came to. */
export function StatusCell({ position, pending, onDismiss }: Props) {
  const standing = standingOf(position, pending);
  const failed = failedClose(position);
  return (
    <div class="status">
      <div class="badges">
        <StandingBadge standing={standing} isAltered={showsAltered(position)} reason={position.verdictReason} />
        {showsAltered(position) && <AlteredBadge position={position} />}
      </div>
      {showsAltered(position) && <p class="remark" data-testid="cause">{causeWords(position)}</p>}
      {standing === "closing" && <p class="remark">{closingRemark(position, pending)}</p>}
      {standing === "unverified" && position.verdictReason !== null && (
        <p class="remark">{position.verdictReason}</p>
      )}
      {standing !== "closing" && failed !== null && pending === undefined && (
        <p class="remark bad" data-testid="close-failure">
          {failed.state === "CANCELLED" ? "Close cancelled" : "Close failed"}: {failureWords(failed)}
        </p>
      )}
      <PendingFault pending={pending} onDismiss={onDismiss} />
    </div>
  );
}

interface StandingProps {
  readonly standing: Standing;
  readonly isAltered: boolean;
  readonly reason: string | null;
}

/** The check mark is for what was compared and found in order. */
function StandingBadge({ standing, isAltered, reason }: StandingProps) {
  switch (standing) {
    case "open":
      return isAltered ? null : <span class="badge open" title="Bybit holds what is recorded"><CheckIcon /> In sync</span>;
    case "closing":
      return <span class="badge closing"><SpinnerIcon /> Closing…</span>;
    case "unverified":
      return <span class="badge unverified" title={reason ?? undefined}><QuestionIcon /> Unverified</span>;
  }
}

function AlteredBadge({ position }: { readonly position: Position }) {
  const worst = worstLeg(position);
  const more = worst !== null && worst.others > 0 ? ` +${worst.others} more` : "";
  return (
    <span class="badge altered" data-testid="altered-badge" title={causeWords(position)}>
      <WarningIcon /> Altered
      {worst !== null && (
        <span class="difference">
          {worst.leg.symbol} {formatSigned(worst.difference)}
          {more}
        </span>
      )}
    </span>
  );
}

function causeWords(position: Position): string {
  return worstCause(position) ?? "What Bybit holds differs from what is recorded; the cause is not known.";
}

interface FaultProps {
  readonly pending: PendingClose | undefined;
  readonly onDismiss: () => void;
}

function PendingFault({ pending, onDismiss }: FaultProps) {
  if (pending?.phase === "refused") {
    return (
      <p class="remark bad" role="alert" data-testid="close-refused">
        Not closed: {pending.detail}{" "}
        <button class="link" type="button" onClick={onDismiss}>Dismiss</button>
      </p>
    );
  }
  if (pending?.phase === "stalled") {
    return (
      <p class="remark bad" role="alert" data-testid="close-stalled">
        {pending.detail} Whether the close was taken is not known. Asking again is safe: it counts
        as the same request.
      </p>
    );
  }
  return null;
}

function closingRemark(position: Position, pending: PendingClose | undefined): string {
  const running = position.lastClose;
  if (position.status === "CLOSING" && running !== null && !hasEnded(running)) {
    return running.detail ?? stateWords(running.state);
  }
  switch (pending?.phase) {
    case "asking":
      return "asking the daemon";
    case "unknown":
      return `${pending.detail ?? ""} Whether the close was taken is unknown; asking again under the same key.`;
    default:
      return "accepted";
  }
}
