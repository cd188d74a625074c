import { hasEnded, type Position } from "./position";

/**
 * Where a close that this page asked for stands, until the daemon's own status takes over.
 *
 * asking → accepted → (gone)        the daemon answered 202
 * asking ⇄ unknown → stalled        no answer: retried with the same key, then left to the person
 * asking → refused                  the daemon said no, and why
 */
export type ClosePhase = "asking" | "unknown" | "accepted" | "stalled" | "refused";

export interface PendingClose {
  readonly phase: ClosePhase;
  readonly closeId: string | null;
  readonly detail: string | null;
  /** Of a stalled one: all that were asked for with it, itself included. */
  readonly together: readonly string[];
}

export type CloseStep =
  | { readonly kind: "close-asked"; readonly id: string }
  | { readonly kind: "close-accepted"; readonly id: string; readonly closeId: string }
  | { readonly kind: "close-unanswered"; readonly id: string; readonly detail: string }
  | { readonly kind: "close-stalled"; readonly id: string; readonly detail: string; readonly together: readonly string[] }
  | { readonly kind: "close-refused"; readonly id: string; readonly detail: string }
  | { readonly kind: "close-dismissed"; readonly id: string };

export function pendingAfter(step: CloseStep): PendingClose | null {
  switch (step.kind) {
    case "close-asked":
      return { phase: "asking", closeId: null, detail: null, together: [] };
    case "close-accepted":
      return { phase: "accepted", closeId: step.closeId, detail: null, together: [] };
    case "close-unanswered":
      return { phase: "unknown", closeId: null, detail: step.detail, together: [] };
    case "close-stalled":
      return { phase: "stalled", closeId: null, detail: step.detail, together: step.together };
    case "close-refused":
      return { phase: "refused", closeId: null, detail: step.detail, together: [] };
    case "close-dismissed":
      return null;
  }
}

/**
 * Whether the daemon's own word replaces the page's optimism.
 *
 * The stream may overtake the 202: then the position is CLOSING, or already back with this
 * very close on record, before `accepted` is known.
 */
export function isSettled(pending: PendingClose, position: Position | undefined): boolean {
  if (position === undefined) return true;
  const serverIsClosing = position.status === "CLOSING";
  switch (pending.phase) {
    case "accepted":
      return serverIsClosing || endedAs(position, pending.closeId);
    case "stalled":
      return serverIsClosing;
    case "asking":
    case "unknown":
    case "refused":
      return false;
  }
}

function endedAs(position: Position, closeId: string | null): boolean {
  const last = position.lastClose;
  return last !== null && last.closeId === closeId && hasEnded(last);
}
