import { age } from "../model/age";
import { signOf, parseDecimal } from "../model/decimal";
import type { Booked, Position } from "../model/position";
import { Money } from "./Money";

interface Props {
  readonly position: Position;
  readonly now: number;
}

/** The parts of the net: as they stand, they add up to it. */
export function Breakdown({ position, now }: Props) {
  const { pnlCurrency, pnlIncomplete, bookedIncomplete } = position;
  const parts = [
    ["Price", pnlIncomplete === null ? position.unrealizedPnl : null, pnlIncomplete],
    ["Realized", position.realizedPnl, bookedIncomplete],
    ["Funding", position.funding, bookedIncomplete],
    ["Fees paid", negated(position.fees), bookedIncomplete],
    ["Net", pnlIncomplete === null ? position.netPnl : null, pnlIncomplete ?? bookedIncomplete],
  ] as const;
  return (
    <>
      <dl class="parts" data-testid="breakdown">
        {parts.map(([name, amount, reason], place) => (
          <div key={name} class={name === "Net" ? "net" : ""}>
            <dt>{place > 0 && <span aria-hidden="true">{name === "Net" ? "= " : "+ "}</span>}{name}</dt>
            <dd><Money amount={amount} currency={pnlCurrency} reason={amount === null ? reason : null} /></dd>
          </div>
        ))}
        <div>
          <dt>Last verified</dt>
          <dd>{position.verifiedAt === null ? "never" : `${age(position.verifiedAt, now)} ago`}</dd>
        </div>
      </dl>
      {isToldPerCoin(position) && <PerCoin booked={position.booked} />}
    </>
  );
}

/** One coin that is the position's own currency would only repeat the line above. */
function isToldPerCoin({ booked, pnlCurrency }: Position): boolean {
  return booked.length > 1 || booked.some((one) => one.coin !== pnlCurrency);
}

function PerCoin({ booked }: { readonly booked: readonly Booked[] }) {
  return (
    <ul class="per-coin" data-testid="per-coin">
      {booked.map((one) => (
        <li key={one.coin}>
          <span class="muted">in {one.coin}:</span>{" "}
          realized <Money amount={one.realizedPnl} currency={one.coin} />, funding{" "}
          <Money amount={one.funding} currency={one.coin} />, fees <Money amount={negated(one.fees)} currency={one.coin} />
        </li>
      ))}
    </ul>
  );
}

/** A fee paid takes away: shown with its minus, the parts add up to the net as they stand. */
function negated(amount: string | null): string | null {
  if (amount === null || signOf(parseDecimal(amount)) === 0) return amount;
  return amount.startsWith("-") ? amount.slice(1) : `-${amount}`;
}
