import { percentWords } from "../model/closePlan";
import { formatNumber } from "../model/money";
import type { CloseLeg, CloseReport, Position } from "../model/position";
import { failureWords, legWords } from "../model/words";

interface Props {
  readonly position: Position;
  readonly close: CloseReport;
}

/** How the last close went, leg by leg. */
export function LastClose({ position, close }: Props) {
  return (
    <section class="last-close" aria-label="Last close" data-testid="last-close">
      <h3>Last close{close.fraction !== null && ` of ${percentWords(close.fraction)}`}: {outcomeOf(close)}</h3>
      <ul>
        {close.legs.map((leg) => (
          <li key={leg.componentId}>
            <strong>{symbolOf(position, leg)}</strong> {withoutSymbol(legWords(leg), symbolOf(position, leg))}
            {leg.filled !== null && <span class="muted"> · filled {formatNumber(leg.filled)}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function outcomeOf(close: CloseReport): string {
  if (close.state === "DONE") return "done";
  // The legs below say each its own reason: here the code's is enough.
  const short = close.legs.length > 0 ? { ...close, detail: null } : close;
  return `${close.state === "CANCELLED" ? "cancelled" : "failed"}, ${failureWords(short)}`;
}

function withoutSymbol(words: string, symbol: string): string {
  const lead = `${symbol}: `;
  return words.startsWith(lead) ? words.slice(lead.length) : words;
}

function symbolOf(position: Position, { componentId }: CloseLeg): string {
  return position.legs.find((leg) => leg.id === componentId)?.symbol ?? "A leg";
}
