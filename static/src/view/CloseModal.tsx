import { useState } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { blockersOf, FRACTIONS, hasResting, percentWords, slippageFault, type CloseTerms } from "../model/closePlan";
import type { Position } from "../model/position";
import type { ResolveAction } from "../model/resolving";
import { CancelRestingBox, SlippageField } from "./CloseTermsFields";
import { Fault } from "./Fault";
import { Modal } from "./Modal";
import { Money } from "./Money";
import { OrderLine } from "./OrderLine";
import { usePreview, type Preview } from "./planned";
import { ResolveModal } from "./ResolveModal";

interface Props {
  readonly position: Position;
  /** Closing already (another tab, another person): there is nothing left to confirm. */
  readonly isClosing: boolean;
  readonly now: number;
  readonly ledger: Pick<Ledger, "closePlan" | "resolve">;
  readonly onConfirm: (terms: CloseTerms) => void;
  readonly onCancel: () => void;
}

interface Asked {
  readonly legId: string;
  readonly action: ResolveAction;
}

/** Shows what would be sent, and asks. Cancel has the focus: a stray Enter closes nothing. */
export function CloseModal({ position, isClosing, now, ledger, onConfirm, onCancel }: Props) {
  const [fraction, setFraction] = useState<string | null>(null);
  const [slippage, setSlippage] = useState("");
  const [cancelResting, setCancelResting] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const preview = usePreview(ledger, position.id, fraction, now);
  const { plan, fault } = preview;
  const askedLeg = position.legs.find((leg) => leg.id === asked?.legId);
  const confirm = () =>
    onConfirm({
      fraction,
      slippage: slippage === "" ? null : slippage,
      cancelResting: cancelResting && (plan === null || hasResting(plan)),
      expectedPlan: plan?.planId ?? null,
    });

  return (
    <>
      <Modal name="close" title={`Close ${position.name}?`} onCancel={onCancel}>
        <p class="modal-sum">
          Unrealized P&amp;L now{" "}
          <Money amount={position.unrealizedPnl} currency={position.pnlCurrency} reason={position.pnlIncomplete} />
        </p>
        <FractionChoice fraction={fraction} onFraction={setFraction} />
        <p>
          <span role="status" data-testid="plan-state" data-plan={plan?.planId}>{introOf(preview)}</span>{" "}
          <button class="link" type="button" data-testid="look-again" onClick={preview.again}>Look again</button>
        </p>
        <ul class="orders">
          {position.legs.map((leg) => (
            <OrderLine
              key={leg.id}
              leg={leg}
              planned={plan?.legs.find((planned) => planned.componentId === leg.id) ?? null}
              isPart={fraction !== null}
              onResolve={(action) => setAsked({ legId: leg.id, action })}
            />
          ))}
        </ul>
        {plan !== null && hasResting(plan) && <CancelRestingBox isChecked={cancelResting} onCheck={setCancelResting} />}
        <SlippageField slippage={slippage} onSlippage={setSlippage} />
        <Fault text={plan === null ? fault : null} testId="plan-fault" />
        <p class="muted">
          Never more than this position's own share of what Bybit holds at that moment. Nothing else
          in the account is touched.
        </p>
        <div class="modal-actions">
          <button class="button" type="button" data-first data-testid="cancel-close" onClick={onCancel}>
            Keep it open
          </button>
          <ConfirmButton preview={preview} isClosing={isClosing} fraction={fraction} cancelResting={cancelResting} isFit={slippageFault(slippage) === null} onConfirm={confirm} />
        </div>
      </Modal>
      {asked !== null && askedLeg !== undefined && (
        <ResolveModal
          action={asked.action}
          position={position}
          leg={askedLeg}
          ledger={ledger}
          onEnd={() => {
            setAsked(null);
            preview.again();
          }}
        />
      )}
    </>
  );
}

function introOf({ plan, fault }: Preview): string {
  if (plan !== null) return "These market orders would go to Bybit:";
  return fault === null ? "Reading what Bybit holds…" : "At most these market orders would go to Bybit:";
}

interface ChoiceProps {
  readonly fraction: string | null;
  readonly onFraction: (fraction: string | null) => void;
}

function FractionChoice({ fraction, onFraction }: ChoiceProps) {
  return (
    <div class="fractions" role="group" aria-label="How much of it">
      {FRACTIONS.map(([each, label]) => (
        <button
          key={label}
          class="button"
          type="button"
          data-testid={`fraction-${each ?? "1"}`}
          aria-pressed={each === fraction}
          onClick={() => onFraction(each)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

interface ConfirmProps {
  readonly preview: Preview;
  readonly isClosing: boolean;
  readonly fraction: string | null;
  readonly cancelResting: boolean;
  readonly isFit: boolean;
  readonly onConfirm: () => void;
}

/** A preview that cannot be read must not keep anybody in a position: it can be done without. */
function ConfirmButton({ preview, isClosing, fraction, cancelResting, isFit, onConfirm }: ConfirmProps) {
  const { plan, fault } = preview;
  const isBlocked = plan !== null && blockersOf(plan, cancelResting).length > 0;
  const isUnread = plan === null && fault === null;
  const what = fraction === null ? "Close position" : `Close ${percentWords(fraction)}`;
  const words = plan === null ? `${what} without a preview` : what;
  return (
    <button
      class="button danger solid"
      type="button"
      data-testid="confirm-close"
      disabled={isClosing || isBlocked || isUnread || !isFit}
      onClick={onConfirm}
    >
      {isClosing ? "Closing already…" : isBlocked ? "Something is in the way" : isUnread ? "Reading Bybit…" : words}
    </button>
  );
}
