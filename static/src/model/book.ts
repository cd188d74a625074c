import { isSettled, pendingAfter, type CloseStep, type PendingClose } from "./closing";
import { formatSigned } from "./money";
import { wholePosition, type Change, type CloseReport, type Position, type Verdict } from "./position";

export interface Feed {
  readonly public: string;
  readonly private: string;
  readonly lastSweepAt: string | null;
  readonly tradingPaused: boolean;
}

/** A verdict that changed; the position's own delta carries the verdict itself. */
export interface Deviation {
  readonly positionId: string;
  readonly verdict: Verdict;
  /** The leg that is furthest off, and by how much. */
  readonly symbol: string | null;
  readonly difference: string | null;
  /** Why, in the daemon's words. */
  readonly cause: string | null;
}

export interface Notice {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
}

/** Everything the page shows, as one value; `reduce` is the only way from one to the next. */
export interface Book {
  /** The last number of the stream; null until the first snapshot. */
  readonly seq: number | null;
  /** Something was missed: what is shown is not to be trusted until the next snapshot. */
  readonly gap: boolean;
  readonly connected: boolean;
  readonly positions: ReadonlyMap<string, Position>;
  readonly pending: ReadonlyMap<string, PendingClose>;
  readonly feed: Feed | null;
  readonly notices: readonly Notice[];
  readonly nextNotice: number;
}

export type Frame =
  | { readonly kind: "snapshot"; readonly seq: number; readonly positions: readonly Position[] }
  | { readonly kind: "positions"; readonly seq: number; readonly changes: readonly Change[] }
  | {
      readonly kind: "close";
      readonly seq: number | null;
      readonly positionId: string;
      readonly report: CloseReport;
    }
  | { readonly kind: "deviation"; readonly seq: number | null; readonly deviation: Deviation }
  | { readonly kind: "feed"; readonly seq: number | null; readonly feed: Feed };

export type BookEvent =
  | Frame
  | CloseStep
  | { readonly kind: "stream-open" }
  | { readonly kind: "stream-lost" }
  | { readonly kind: "notice"; readonly tone: Notice["tone"]; readonly text: string }
  | { readonly kind: "notice-dismissed"; readonly id: number };

export const EMPTY_BOOK: Book = {
  seq: null,
  gap: false,
  connected: false,
  positions: new Map(),
  pending: new Map(),
  feed: null,
  notices: [],
  nextNotice: 1,
};

const MOST_NOTICES = 4;

export function reduce(book: Book, event: BookEvent): Book {
  switch (event.kind) {
    case "snapshot":
      return afterSnapshot(book, event.seq, event.positions);
    case "positions":
    case "close":
    case "deviation":
    case "feed":
      return numbered(book, event);
    case "stream-open":
      return { ...book, connected: true };
    case "stream-lost":
      return { ...book, connected: false };
    case "notice":
      return withNotice(book, event.tone, event.text);
    case "notice-dismissed":
      return { ...book, notices: book.notices.filter((notice) => notice.id !== event.id) };
    default:
      return afterStep(book, event);
  }
}

/** Numbers that can be trusted now: connected, nothing missed, at least one snapshot. */
export function isCurrent(book: Book): boolean {
  return book.connected && !book.gap && book.seq !== null;
}

type Numbered = Exclude<Frame, { kind: "snapshot" }>;

function numbered(book: Book, frame: Numbered): Book {
  const { seq } = frame;
  if (book.seq === null || book.gap) {
    // Deltas before their snapshot mean nothing; the feed's state stands on its own.
    return frame.kind === "feed" ? { ...book, feed: frame.feed } : book;
  }
  if (seq === null) return applied(book, frame);
  // Deltas are absolute values, but an old one must not undo a newer one.
  if (seq <= book.seq) return frame.kind === "positions" ? book : applied(book, frame);
  if (seq > book.seq + 1) return { ...book, gap: true };
  return applied({ ...book, seq }, frame);
}

function applied(book: Book, frame: Numbered): Book {
  switch (frame.kind) {
    case "positions":
      return afterChanges(book, frame.changes);
    case "close":
      return afterClose(book, frame.positionId, frame.report);
    case "deviation":
      return afterDeviation(book, frame.deviation);
    case "feed":
      return { ...book, feed: frame.feed };
  }
}

function afterSnapshot(book: Book, seq: number, listed: readonly Position[]): Book {
  const positions = new Map(listed.filter(isListed).map((position) => [position.id, position]));
  const gone = [...book.positions.values()].filter((position) => !positions.has(position.id));
  const next = gone.reduce(withFarewell, { ...book, seq, gap: false, connected: true });
  return settled({ ...next, positions });
}

function afterChanges(book: Book, changes: readonly Change[]): Book {
  const positions = new Map(book.positions);
  let next = book;
  for (const change of changes) {
    const before = positions.get(change.id);
    const after = changed(before, change);
    if (after === "gap") return { ...book, gap: true };
    if (after !== null) positions.set(change.id, after);
    else if (positions.delete(change.id) && before !== undefined) {
      next = withFarewell(next, before);
    }
  }
  return settled({ ...next, positions });
}

function changed(before: Position | undefined, change: Change): Position | "gap" | null {
  if (change.removed) return null;
  const after =
    before === undefined ? wholePosition(change.id, change.fields) : { ...before, ...change.fields };
  // Part of a position that this page never saw: its beginning was missed.
  if (after === null) return change.fields.status === "CLOSED" ? null : "gap";
  return isListed(after) ? after : null;
}

function afterClose(book: Book, positionId: string, report: CloseReport): Book {
  const position = book.positions.get(positionId);
  if (position === undefined) return book;
  const earlier = position.lastClose;
  const kept = earlier?.closeId === report.closeId && report.legs.length === 0 ? earlier.legs : report.legs;
  const positions = new Map(book.positions);
  positions.set(positionId, { ...position, lastClose: { ...report, legs: kept } });
  return settled({ ...book, positions });
}

function afterDeviation(book: Book, deviation: Deviation): Book {
  const name = book.positions.get(deviation.positionId)?.name;
  if (name === undefined || deviation.verdict === "unverified") return book;
  if (deviation.verdict === "in_sync") return withNotice(book, "good", `${name} matches Bybit.`);
  const off = deviation.difference === null ? "" : ` ${deviation.symbol} ${formatSigned(deviation.difference)}.`;
  return withNotice(book, "bad", `${name} is altered.${off} ${deviation.cause ?? ""}`.trim());
}

function afterStep(book: Book, step: CloseStep): Book {
  const pending = new Map(book.pending);
  const after = pendingAfter(step);
  if (after === null) pending.delete(step.id);
  else pending.set(step.id, after);
  const next = settled({ ...book, pending });
  // A refusal for a row that is gone has no row to be shown in.
  const isHomeless = step.kind === "close-refused" && !next.pending.has(step.id);
  return isHomeless ? withNotice(next, "bad", step.detail) : next;
}

function isListed(position: Position): boolean {
  return position.status !== "CLOSED";
}

/** Drops the page's own idea of a close where the daemon's status has taken over. */
function settled(book: Book): Book {
  if (book.seq === null) return book;
  const open = [...book.pending].filter(([id, pending]) => !isSettled(pending, book.positions.get(id)));
  return open.length === book.pending.size ? book : { ...book, pending: new Map(open) };
}

function withFarewell(book: Book, gone: Position): Book {
  const wasClosing = gone.status === "CLOSING" || book.pending.has(gone.id);
  return withNotice(book, "good", wasClosing ? `${gone.name} is closed.` : `${gone.name} left the list.`);
}

function withNotice(book: Book, tone: Notice["tone"], text: string): Book {
  if (book.notices.some((earlier) => earlier.text === text)) return book;
  const notice = { id: book.nextNotice, tone, text };
  const notices = [...book.notices, notice].slice(-MOST_NOTICES);
  return { ...book, notices, nextNotice: book.nextNotice + 1 };
}
