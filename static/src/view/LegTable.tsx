import { age } from "../model/age";
import { formatNumber, formatSigned } from "../model/money";
import { legCurrency, openQuantity, type Leg, type Position } from "../model/position";
import { deviates } from "../model/standing";
import { directionWords } from "../model/words";
import { WarningIcon } from "./icons";
import { Money } from "./Money";

interface Props {
  readonly position: Position;
  readonly now: number;
}

/** The legs: what was recorded, what Bybit holds, and what lies between. */
export function LegTable({ position, now }: Props) {
  return (
    <div class="legs-scroll" role="region" aria-label={`Legs of ${position.name}`} tabIndex={0}>
      <table class="legs">
        <thead>
          <tr>
            <th scope="col">Leg</th>
            <th scope="col" class="number">Open, recorded</th>
            <th scope="col" class="number" title="What Bybit holds, less what other positions and the trader's own holding claim of it">Its part on Bybit</th>
            <th scope="col" class="number">Difference</th>
            <th scope="col" class="number">Entry</th>
            <th scope="col" class="number">Price</th>
            <th scope="col" class="number">P&amp;L</th>
            <th scope="col" class="number">Price age</th>
          </tr>
        </thead>
        <tbody>
          {position.legs.map((leg) => (
            <LegRow key={leg.id} leg={leg} currency={legCurrency(position, leg)} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  readonly leg: Leg;
  readonly currency: string;
  readonly now: number;
}

function LegRow({ leg, currency, now }: RowProps) {
  return (
    <tr data-testid="leg-row" data-symbol={leg.symbol}>
      <th scope="row">
        <span class={`direction ${leg.side === "Buy" ? "long" : "short"}`}>{directionWords(leg)}</span>{" "}
        {leg.symbol} <span class="muted">{leg.category}{leg.coin !== null && leg.category === "spot" && `, ${leg.coin} in the wallet`}</span>
      </th>
      <td class="number"><Recorded leg={leg} /></td>
      <td class="number">{numberOrDash(leg.actual)}</td>
      <td class={`number ${deviates(leg) ? "deviates" : ""}`}>
        {deviates(leg) && <WarningIcon />} {leg.difference === null ? "—" : formatSigned(leg.difference)}
        {leg.note !== null && <span class="leg-note" data-testid="leg-note">{leg.note}</span>}
      </td>
      <td class="number">{formatNumber(leg.entryPrice)}</td>
      <td class="number">
        {numberOrDash(leg.price)} <span class="muted">{leg.priceBasis}</span>
      </td>
      <td class="number">
        <Money amount={leg.unrealizedPnl} currency={currency} testId="leg-pnl" />
      </td>
      <td class="number">{leg.priceAt === null ? "—" : age(leg.priceAt, now)}</td>
    </tr>
  );
}

function Recorded({ leg }: { readonly leg: Leg }) {
  const open = formatNumber(openQuantity(leg));
  const recorded = formatNumber(leg.quantity);
  const atFirst = formatNumber(leg.recordedQuantity);
  return (
    <>
      {open}
      {open !== recorded && <span class="muted"> of {recorded}</span>}
      {atFirst !== recorded && <span class="leg-note">at first {atFirst}</span>}
    </>
  );
}

function numberOrDash(value: string | null): string {
  return value === null ? "—" : formatNumber(value);
}
