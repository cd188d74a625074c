import type { Ledger } from "../api/ledger";
import { percentWords } from "../model/closePlan";
import { formatNumber } from "../model/money";
import { filledOf, mayBeCancelled, type CloseReport, type Position } from "../model/position";
import { stateWords } from "../model/words";
import { Fault } from "./Fault";
import { useAttempt } from "./live";

interface Props {
  readonly position: Position;
  readonly close: CloseReport;
  readonly ledger: Pick<Ledger, "recheckClose" | "cancelClose">;
}

const done = () => undefined;

/** A close at work: how far each leg is, what it waits for, and what can be done about it. */
export function RunningClose({ position, close, ledger }: Props) {
  const attempt = useAttempt();
  const part = close.fraction === null ? "" : ` ${percentWords(close.fraction)}`;
  return (
    <section class="last-close running-close" aria-label="Running close" data-testid="running-close" data-state={close.state}>
      <h3>Closing{part}{close.isOfSet && " together with others"}: {stateWords(close.state)}</h3>
      {close.detail !== null && <p data-testid="close-waits">{close.detail}</p>}
      <ul>
        {close.targets.map((target) => {
          const leg = position.legs.find((each) => each.id === target.componentId);
          if (leg === undefined) return null;
          const filled = filledOf(target, leg);
          return (
            <li key={leg.id} data-testid="close-progress" data-symbol={leg.symbol}>
              <strong>{leg.symbol}</strong>{" "}
              <progress aria-label={`Filled of ${leg.symbol}`} max={Number(target.quantity) || 1} value={Number(filled)} />{" "}
              {formatNumber(filled)} of {formatNumber(target.quantity)}
            </li>
          );
        })}
      </ul>
      <p class="details-actions">
        <button
          class="button"
          type="button"
          data-testid="recheck-close"
          disabled={attempt.isBusy}
          title="Whatever the close waits for is looked up now"
          onClick={() => attempt.run(() => ledger.recheckClose(close.closeId), done)}
        >
          Re-check the close
        </button>
        {mayBeCancelled(close) && (
          <button
            class="button"
            type="button"
            data-testid="cancel-running-close"
            disabled={attempt.isBusy}
            onClick={() => attempt.run(() => ledger.cancelClose(close.closeId), done)}
          >
            Cancel {close.isOfSet ? "all of them" : "the close"}
          </button>
        )}
      </p>
      <Fault text={attempt.fault} testId="running-close-fault" />
    </section>
  );
}
