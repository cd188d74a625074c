import { totals } from "../model/totals";
import type { Position } from "../model/position";
import { Money } from "./Money";

interface Props {
  readonly positions: readonly Position[];
  /** How many there are before the filter. */
  readonly count: number;
}

/** One line per currency, of what the filter lets through. */
export function Totals({ positions, count }: Props) {
  const scope = positions.length === count ? "" : ` of ${positions.length} shown`;
  return (
    <tfoot>
      {totals(positions).map((total) => (
        <tr key={total.currency} data-testid="total-row" data-currency={total.currency}>
          <th scope="row" class="cell-name">Total {total.currency}{scope}</th>
          <td class="cell-status">
            {total.unpriced > 0 && (
              <span class="badge unverified" data-testid="total-incomplete">
                incomplete: {total.unpriced} without a price
              </span>
            )}
          </td>
          <td class="number cell-pnl" data-label="Unrealized"><Money amount={total.unrealized} currency={total.currency} testId="total-pnl" /></td>
          <td class="number cell-net" data-label="Net"><Money amount={total.net} currency={total.currency} /></td>
          <td class="cell-age" />
          <td class="cell-actions" />
        </tr>
      ))}
    </tfoot>
  );
}
