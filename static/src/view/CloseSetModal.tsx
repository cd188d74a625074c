import { useState } from "preact/hooks";
import { isNothing, slippageFault, WHOLE, type CloseTerms } from "../model/closePlan";
import { formatNumber } from "../model/money";
import { openQuantity, type Position } from "../model/position";
import { directionWords } from "../model/words";
import { CancelRestingBox, SlippageField } from "./CloseTermsFields";
import { Modal } from "./Modal";
import { Money } from "./Money";

interface Props {
  /** Those of them that are still on the list. */
  readonly positions: readonly Position[];
  /** One is closing already: together or not at all. */
  readonly isClosing: boolean;
  readonly onConfirm: (terms: CloseTerms) => void;
  readonly onCancel: () => void;
}

/** Asks once for several positions. */
export function CloseSetModal({ positions, isClosing, onConfirm, onCancel }: Props) {
  const [slippage, setSlippage] = useState("");
  const [cancelResting, setCancelResting] = useState(false);
  return (
    <Modal name="close-set" title={`Close ${positions.length} positions together?`} onCancel={onCancel}>
      <ul class="orders">
        {positions.map((position) => (
          <li key={position.id} data-testid="close-set-position" data-position-id={position.id}>
            <strong>{position.name}</strong>
            <Money amount={position.unrealizedPnl} currency={position.pnlCurrency} reason={position.pnlIncomplete} />
            <span class="order-remark">{legsOf(position)}</span>
          </li>
        ))}
      </ul>
      <p class="muted">
        All of them or none is accepted. Where they hold the same symbol, one market order of what
        is left between them goes out, and never more than their own share of what Bybit holds.
      </p>
      <CancelRestingBox isChecked={cancelResting} onCheck={setCancelResting} />
      <SlippageField slippage={slippage} onSlippage={setSlippage} />
      <div class="modal-actions">
        <button class="button" type="button" data-first data-testid="cancel-close-set" onClick={onCancel}>
          Keep them open
        </button>
        <button
          class="button danger solid"
          type="button"
          data-testid="confirm-close-set"
          disabled={isClosing || slippageFault(slippage) !== null}
          onClick={() => onConfirm({ ...WHOLE, slippage: slippage === "" ? null : slippage, cancelResting })}
        >
          {isClosing ? "One is closing already…" : `Close ${positions.length} positions`}
        </button>
      </div>
    </Modal>
  );
}

function legsOf(position: Position): string {
  const open = position.legs.filter((leg) => !isNothing(openQuantity(leg)));
  return open.map((leg) => `${directionWords(leg)} ${formatNumber(openQuantity(leg))} ${leg.symbol}`).join(", ");
}
