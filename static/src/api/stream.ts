import type { Frame } from "../model/book";
import { frame, FRAME_KINDS, type FrameKind } from "./frames";
import { detailOf } from "./problem";

/** The part of EventSource that is used, so that a test can stand in for it. */
export interface Source {
  readonly readyState: number;
  addEventListener(kind: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export interface StreamEvents {
  readonly onFrame: (frame: Frame) => void;
  readonly onOpen: () => void;
  readonly onLost: () => void;
  /** A frame that could not be read. */
  readonly onBroken: (detail: string) => void;
  /** The browser gave up, as it does on any status but 200: the session may have ended. */
  readonly onRefused: () => void;
}

const CLOSED = 2;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * The live stream: opened, listened to, reopened with growing pauses.
 *
 * EventSource itself reconnects after a cut, with Last-Event-ID. A refusal ends it for good,
 * and a gap in the numbers needs a fresh one: only a source without an id gets a snapshot.
 */
export class LiveStream {
  #source: Source | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #wait = FIRST_WAIT_MS;

  constructor(
    private readonly events: StreamEvents,
    private readonly open: () => Source = () => new EventSource("/api/stream"),
    private readonly random: () => number = Math.random,
  ) {}

  start(): void {
    this.stop();
    const source = this.open();
    this.#source = source;
    source.addEventListener("open", () => this.events.onOpen());
    source.addEventListener("error", () => this.#onError(source));
    for (const kind of FRAME_KINDS) {
      source.addEventListener(kind, (event) => this.#onMessage(source, kind, event.data));
    }
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#source?.close();
    this.#source = null;
  }

  /** Asks for a new snapshot after a pause, so that a stream that is always broken is not hammered. */
  reopen(): void {
    this.stop();
    const wait = this.#wait * (0.5 + this.random() / 2);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => this.start(), wait);
  }

  #onMessage(source: Source, kind: FrameKind, data: string): void {
    if (source !== this.#source) return;
    try {
      const read = frame(kind, data);
      // A delta that was understood shows that the stream works; a snapshot alone does not.
      if (kind === "positions") this.#wait = FIRST_WAIT_MS;
      this.events.onFrame(read);
    } catch (error) {
      this.events.onBroken(detailOf(error));
      this.reopen();
    }
  }

  #onError(source: Source): void {
    if (source !== this.#source) return;
    this.events.onLost();
    if (source.readyState !== CLOSED) return;
    this.reopen();
    this.events.onRefused();
  }
}
