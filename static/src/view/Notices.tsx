import type { Notice } from "../model/book";
import { CheckIcon, CrossIcon, WarningIcon } from "./icons";

interface Props {
  readonly notices: readonly Notice[];
  readonly onDismiss: (id: number) => void;
}

/** What happened while nobody looked; read out, and kept until dismissed. */
export function Notices({ notices, onDismiss }: Props) {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.map((notice) => (
        <p key={notice.id} class={`notice ${notice.tone}`} data-testid="notice">
          {notice.tone === "good" ? <CheckIcon /> : <WarningIcon />}
          <span>{notice.text}</span>
          <button class="button bare" type="button" aria-label="Dismiss" onClick={() => onDismiss(notice.id)}>
            <CrossIcon />
          </button>
        </p>
      ))}
    </div>
  );
}
