import { formatMoney } from "../model/money";

interface Props {
  /** Decimal text, or null where there is no number to show. */
  readonly amount: string | null;
  readonly currency: string;
  /** Why there is none. */
  readonly reason?: string | null;
  readonly testId?: string;
}

/** An amount with its sign and colour; an absent one is a dash with its reason, never a zero. */
export function Money({ amount, currency, reason = null, testId }: Props) {
  if (amount === null) {
    return (
      <span class="money none" data-testid={testId} data-sign="none" title={reason ?? "No number yet"}>
        <span class="dash">—</span>
        {reason !== null && <span class="reason">{reason}</span>}
      </span>
    );
  }
  const shown = formatMoney(amount, currency);
  return (
    <span class={`money ${shown.sign}`} data-testid={testId} data-sign={shown.sign} title={shown.raw}>
      {shown.amount}
      {shown.unit !== "" && <span class="unit"> {shown.unit}</span>}
    </span>
  );
}
