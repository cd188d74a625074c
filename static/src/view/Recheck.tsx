import { useState } from "preact/hooks";
import type { Ledger } from "../api/ledger";
import { useAttempt } from "./live";

interface Props {
  readonly accountId: string;
  readonly ledger: Pick<Ledger, "recheck">;
}

/** A full compare of the account now, not only on the clock. */
export function Recheck({ accountId, ledger }: Props) {
  const [isAsked, setAsked] = useState(false);
  const attempt = useAttempt();
  return (
    <>
      <button
        class="button"
        type="button"
        data-testid="recheck"
        disabled={attempt.isBusy}
        title="Compares everything recorded in this account with what Bybit holds"
        onClick={() => {
          setAsked(false);
          attempt.run(() => ledger.recheck(accountId), () => setAsked(true));
        }}
      >
        Re-check now
      </button>
      <span class="muted" role="status" data-testid="recheck-answer">
        {attempt.fault ?? (isAsked ? "Asked for: the verdict follows in a moment." : "")}
      </span>
    </>
  );
}
