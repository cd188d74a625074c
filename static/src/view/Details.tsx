import { age } from "../model/age";
import { formatNumber } from "../model/money";
import { hasEnded, type CloseLeg, type CloseReport, type Position } from "../model/position";
import { showsAltered } from "../model/standing";
import { failureWords, legWords, stateWords } from "../model/words";
import { LegTable } from "./LegTable";
import { Money } from "./Money";

interface Props {
  readonly position: Position;
  readonly now: number;
}

/** What stands behind a row. */
export function Details({ position, now }: Props) {
  return (
    <div class="details">
      {showsAltered(position) && (
        <p class="callout">
          What Bybit holds differs from what is recorded. {position.verdictReason ?? "The cause is not known."}
        </p>
      )}
      <LegTable position={position} now={now} />
      <dl class="parts">
        <Part name="Unrealized" amount={position.unrealizedPnl} position={position} />
        <Part name="Realized" amount={position.realizedPnl} position={position} />
        <Part name="Funding" amount={position.funding} position={position} />
        <Part name="Fees paid" amount={negated(position.fees)} position={position} />
        <Part name="Net" amount={position.netPnl} position={position} />
        <div>
          <dt>Last verified</dt>
          <dd>{position.verifiedAt === null ? "never" : `${age(position.verifiedAt, now)} ago`}</dd>
        </div>
      </dl>
      {position.lastClose !== null && <LastClose position={position} close={position.lastClose} />}
    </div>
  );
}

interface PartProps {
  readonly name: string;
  readonly amount: string | null;
  readonly position: Position;
}

function Part({ name, amount, position }: PartProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd><Money amount={amount} currency={position.pnlCurrency} /></dd>
    </div>
  );
}

/** A fee paid takes away: shown with its minus, the parts add up to the net as they stand. */
function negated(amount: string | null): string | null {
  if (amount === null) return null;
  return amount.startsWith("-") ? amount.slice(1) : `-${amount}`;
}

interface LastCloseProps {
  readonly position: Position;
  readonly close: CloseReport;
}

function LastClose({ position, close }: LastCloseProps) {
  return (
    <section class="last-close" aria-label="Last close" data-testid="last-close">
      <h3>Last close: {outcomeOf(close)}</h3>
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
  if (!hasEnded(close)) return stateWords(close.state);
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
