import { useEffect, useState } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { isAgeing, isExpired, isOf, type ClosePlan } from "../model/closePlan";
import { useFetched } from "./live";

export interface Preview {
  /** What may be agreed to now; null while it is being read. */
  readonly plan: ClosePlan | null;
  /** Why the last one could not be read. */
  readonly fault: string | null;
  readonly again: () => void;
}

/** The plan of a close, read when it is asked for and anew before it grows too old. */
export function usePreview(ledger: Pick<Ledger, "closePlan">, positionId: string, fraction: string | null, now: number): Preview {
  const [round, setRound] = useState(0);
  const again = () => setRound((before) => before + 1);
  const { value, fault } = useFetched(() => ledger.closePlan(positionId, fraction), `${fraction} ${round}`);
  const isAged = value !== null && isAgeing(value, now);
  // Once for each plan: where the next cannot be read, the person is asked and not the daemon again.
  useEffect(() => {
    if (isAged) again();
  }, [isAged]);
  const plan = value !== null && isOf(value, fraction) && !isExpired(value, now) ? value : null;
  return { plan, fault, again };
}
