import type { Ledger } from "../api/ledger";
import type { Leg, Position } from "../model/position";
import { ACTION_TITLES, actionsFor, planOf, type ResolveAction } from "../model/resolving";
import { Fault } from "./Fault";
import { useAttempt } from "./live";
import { Modal } from "./Modal";

interface Props {
  readonly action: ResolveAction;
  readonly position: Position;
  readonly leg: Leg;
  readonly ledger: Pick<Ledger, "resolve">;
  readonly onEnd: () => void;
}

/** Says what an action changes, before and after, and does it on confirmation. */
export function ResolveModal({ action, position, leg, ledger, onEnd }: Props) {
  const attempt = useAttempt();
  const plan = planOf(action, position, leg);
  const title = ACTION_TITLES[action];
  const isGone = !actionsFor(position, leg).includes(action);
  return (
    <Modal name="resolve" title={`${title}: ${leg.symbol} of ${position.name}`} onCancel={onEnd}>
      <p>{plan.meaning}</p>
      <ul class="orders">
        {plan.effects.map(({ what, before, after }) => (
          <li key={what} data-testid="resolve-effect">
            <span>{what}</span>
            <strong class="effect">
              {before} <span aria-label="becomes">→</span> {after}
            </strong>
          </li>
        ))}
      </ul>
      <p class="muted">
        No order is sent. The daemon reads Bybit anew first, refuses what no longer holds, and keeps
        both numbers in the journal.
      </p>
      <Fault text={attempt.fault} testId="resolve-fault" />
      <div class="modal-actions">
        <button class="button" type="button" data-first data-testid="cancel-resolve" onClick={onEnd}>
          Leave it
        </button>
        <button
          class="button primary"
          type="button"
          data-testid="confirm-resolve"
          disabled={attempt.isBusy || isGone}
          onClick={() => attempt.run(() => ledger.resolve(position.id, action, leg.id), onEnd)}
        >
          {isGone ? "Nothing left to resolve" : attempt.isBusy ? "Reading Bybit…" : title}
        </button>
      </div>
    </Modal>
  );
}
