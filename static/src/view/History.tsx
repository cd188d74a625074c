import type { Ledger } from "../api/ledger";
import { formatMoney } from "../model/money";
import { sparkline, type Sparkline } from "../model/sparkline";
import { useFetched } from "./live";

interface Props {
  readonly positionId: string;
  readonly ledger: Pick<Ledger, "pnl">;
  /** The daemon keeps one point a minute. */
  readonly minute: number;
}

const WIDTH = 260;
const HEIGHT = 44;

/** The P&L of the last day, as a line. */
export function History({ positionId, ledger, minute }: Props) {
  const { value, fault } = useFetched(() => ledger.pnl(positionId), `${positionId} ${minute}`);
  if (value === null) return fault === null ? null : <p class="muted">The P&amp;L history could not be read: {fault}</p>;
  const line = sparkline(value, WIDTH, HEIGHT);
  if (line === null) return <p class="muted" data-testid="no-history">No P&amp;L history yet: a point is kept each minute.</p>;
  return (
    <figure class="history" data-testid="history">
      <figcaption>{line.isNet ? "Net P&L" : "Price P&L"}, 24 h</figcaption>
      <Line line={line} />
      <span class="muted">{shown(line.lowest, line)} to {shown(line.highest, line)}</span>
    </figure>
  );
}

function Line({ line }: { readonly line: Sparkline }) {
  const words = `From ${shown(line.lowest, line)} to ${shown(line.highest, line)}, last ${shown(line.last, line)}`;
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={words}>
      {line.zeroY !== null && <path class="zero" d={`M0 ${line.zeroY}H${WIDTH}`} />}
      <path class="line" d={line.path} />
    </svg>
  );
}

function shown(amount: string, { currency }: Sparkline): string {
  const text = formatMoney(amount, currency);
  return `${text.amount} ${text.unit}`.trim();
}
