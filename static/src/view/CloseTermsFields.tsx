import { slippageFault } from "../model/closePlan";
import { Fault } from "./Fault";

interface Props {
  readonly slippage: string;
  readonly onSlippage: (text: string) => void;
}

/** How far from the best price the orders may fill. */
export function SlippageField({ slippage, onSlippage }: Props) {
  return (
    <>
      <label class="term">
        Slippage limit
        <input
          class="short"
          inputMode="decimal"
          data-testid="slippage"
          placeholder="usual"
          value={slippage}
          onInput={(event) => onSlippage(event.currentTarget.value.trim())}
        />
        %
      </label>
      <Fault text={slippageFault(slippage)} testId="slippage-fault" />
    </>
  );
}

interface RestingProps {
  readonly isChecked: boolean;
  readonly onCheck: (isChecked: boolean) => void;
}

export function CancelRestingBox({ isChecked, onCheck }: RestingProps) {
  return (
    <label class="term">
      <input
        type="checkbox"
        data-testid="cancel-resting"
        checked={isChecked}
        onChange={(event) => onCheck(event.currentTarget.checked)}
      />
      Cancel my resting reduce-only orders that are in the way
    </label>
  );
}
