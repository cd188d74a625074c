import { EMPTY_BOOK, reduce, type Book, type BookEvent } from "../model/book";
import type { CloseTerms } from "../model/closePlan";
import { hasEnded } from "../model/position";
import { fetchClose, postClose } from "./closes";
import { CloseCourier, type PostClose } from "./courier";
import { Intents } from "./intents";
import { detailOf } from "./problem";
import { accountLabels, whoAmI } from "./session";
import { Storage } from "./storage";
import { LiveStream, type Source } from "./stream";

/** The edges of a desk, so that a test can stand in for them. */
export interface DeskEdges {
  readonly storage: Storage;
  readonly openStream: () => Source;
  readonly post: PostClose;
  readonly labels: () => Promise<ReadonlyMap<string, string>>;
  /** Runs once before the next paint, however often the book changed until then. */
  readonly beforePaint: (task: () => void) => void;
}

export function browserEdges(): DeskEdges {
  return {
    storage: new Storage(),
    openStream: () => new EventSource("/api/stream"),
    post: postClose,
    labels: accountLabels,
    beforePaint: (task) => void requestAnimationFrame(task),
  };
}

const UNCONFIRMED_MS = 5_000;

/** Owns the book of one signed-in user: feeds it, carries its closes, tells who watches. */
export class Desk {
  book: Book = EMPTY_BOOK;
  labels: ReadonlyMap<string, string> = new Map();
  readonly #watchers = new Set<() => void>();
  readonly #stream: LiveStream;
  readonly #courier: CloseCourier;
  readonly #checks = new Set<ReturnType<typeof setTimeout>>();
  #isPaintAsked = false;
  #isStopped = false;

  constructor(
    userId: string,
    private readonly edges: DeskEdges,
    private readonly onSignedOut: () => void,
  ) {
    this.#stream = new LiveStream(
      {
        onFrame: (frame) => this.dispatch(frame),
        onOpen: () => this.dispatch({ kind: "stream-open" }),
        onLost: () => this.dispatch({ kind: "stream-lost" }),
        onBroken: (detail) => this.#onBroken(detail),
        onRefused: () => void this.#checkSession(),
      },
      edges.openStream,
    );
    const intents = new Intents(edges.storage, userId);
    this.#courier = new CloseCourier(intents, (step) => this.dispatch(step), onSignedOut, edges.post);
  }

  start(): void {
    this.#stream.start();
    this.#courier.resume();
    void this.#loadLabels();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stream.stop();
    this.#courier.stop();
    for (const check of this.#checks) clearTimeout(check);
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  close(positionIds: readonly string[], terms: CloseTerms): void {
    this.#courier.ask(positionIds, terms);
    // A click is answered at once; only the stream waits for the frame.
    this.#tellWatchers();
  }

  dispatch(event: BookEvent): void {
    if (this.#isStopped) return;
    const hadGap = this.book.gap;
    this.book = reduce(this.book, event);
    if (this.book.gap && !hadGap) this.#stream.reopen();
    if (event.kind === "close-accepted") this.#checkLater(event.id, event.closeId);
    this.#askPaint();
  }

  #askPaint(): void {
    if (this.#isPaintAsked) return;
    this.#isPaintAsked = true;
    this.edges.beforePaint(() => {
      this.#isPaintAsked = false;
      this.#tellWatchers();
    });
  }

  #tellWatchers(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #onBroken(detail: string): void {
    this.dispatch({ kind: "stream-lost" });
    this.dispatch({ kind: "notice", tone: "bad", text: detail });
  }

  /** An accepted close that the stream says nothing of must not stay "Closing…" for ever. */
  #checkLater(positionId: string, closeId: string): void {
    if (!this.book.pending.has(positionId)) return;
    const check = setTimeout(() => {
      this.#checks.delete(check);
      void this.#check(positionId, closeId);
    }, UNCONFIRMED_MS);
    this.#checks.add(check);
  }

  async #check(positionId: string, closeId: string): Promise<void> {
    if (this.book.pending.get(positionId)?.closeId !== closeId) return;
    try {
      const report = await fetchClose(closeId);
      if (hasEnded(report)) this.dispatch({ kind: "close", seq: null, positionId, report });
    } catch (error) {
      this.dispatch({ kind: "notice", tone: "bad", text: `The close could not be checked: ${detailOf(error)}` });
    }
    if (!this.#isStopped) this.#checkLater(positionId, closeId);
  }

  async #checkSession(): Promise<void> {
    try {
      if ((await whoAmI()) === null) this.onSignedOut();
    } catch (error) {
      // The strip already says that the stream is lost; the stream goes on trying.
      console.warn("positiond: the session could not be checked:", detailOf(error));
    }
  }

  async #loadLabels(): Promise<void> {
    try {
      this.labels = await this.edges.labels();
      this.#askPaint();
    } catch (error) {
      const text = `The accounts' names could not be loaded: ${detailOf(error)}`;
      this.dispatch({ kind: "notice", tone: "bad", text });
    }
  }
}
