import type { CloseStep } from "../model/closing";
import { closeReport } from "./wire";
import { object, text } from "./decode";
import type { Intent, Intents } from "./intents";
import { detailOf, Problem } from "./problem";
import { bodyOf, request } from "./request";

export type PostClose = (positionId: string, key: string) => Promise<string>;

/** Asks for a close; the close's id. */
export async function postClose(positionId: string, key: string): Promise<string> {
  const response = await request("POST", `/api/positions/${encodeURIComponent(positionId)}/close`, {
    body: {},
    headers: { "Idempotency-Key": key },
  });
  return text(object(await bodyOf(response), "answer"), "close_id");
}

/** Where a close stands, for when the stream has not told. */
export async function fetchClose(closeId: string) {
  return closeReport(await bodyOf(await request("GET", `/api/closes/${encodeURIComponent(closeId)}`)));
}

const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000] as const;

/**
 * How long an unanswered intent is sent again by itself. Later, a laptop that wakes up would
 * close at a price nobody looked at: the person is asked again, and the key stays the same.
 */
const PATIENCE_MS = 120_000;

/** Answers that prove nothing was decided: the same key may be sent again. */
const UNDECIDED = new Set([408, 425, 429]);

/** Carries a confirmed close to the daemon until there is an answer, always under one key. */
export class CloseCourier {
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  /** Positions with a request on its way or waiting to be sent again: never two at once. */
  readonly #underWay = new Set<string>();
  #stopped = false;

  constructor(
    private readonly intents: Intents,
    private readonly tell: (step: CloseStep) => void,
    private readonly onSignedOut: () => void,
    private readonly post: PostClose = postClose,
    private readonly now: () => number = Date.now,
  ) {}

  ask(positionId: string): void {
    if (this.#underWay.has(positionId)) return;
    void this.#attempt(positionId, this.intents.confirm(positionId), 0);
  }

  /** Takes up what a reload interrupted; what is too old for that is put to the person. */
  resume(): void {
    for (const [positionId, intent] of this.intents.all()) {
      if (this.#isPatient(intent)) void this.#attempt(positionId, intent, 0);
      else this.#stall(positionId);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #attempt(positionId: string, intent: Intent, tries: number): Promise<void> {
    this.#underWay.add(positionId);
    if (tries === 0) this.tell({ kind: "close-asked", id: positionId });
    try {
      const closeId = await this.post(positionId, intent.key);
      this.intents.answered(positionId);
      this.#end({ kind: "close-accepted", id: positionId, closeId });
    } catch (error) {
      if (!this.#stopped) this.#onFailure(positionId, intent, tries, error);
    }
  }

  #onFailure(positionId: string, intent: Intent, tries: number, error: unknown): void {
    const detail = detailOf(error);
    if (error instanceof Problem && error.status === 401) {
      this.#stall(positionId, detail);
      this.onSignedOut();
    } else if (isRefusal(error)) {
      this.intents.answered(positionId);
      this.#end({ kind: "close-refused", id: positionId, detail });
    } else if (this.#isPatient(intent)) {
      this.tell({ kind: "close-unanswered", id: positionId, detail });
      this.#retry(positionId, intent, tries);
    } else {
      this.#stall(positionId, detail);
    }
  }

  #retry(positionId: string, intent: Intent, tries: number): void {
    const wait = WAITS_MS[Math.min(tries, WAITS_MS.length - 1)];
    const timer = setTimeout(() => {
      this.#timers.delete(positionId);
      // The wait itself may have been a night's sleep of the machine.
      if (this.#isPatient(intent)) void this.#attempt(positionId, intent, tries + 1);
      else this.#stall(positionId);
    }, wait);
    this.#timers.set(positionId, timer);
  }

  #stall(positionId: string, detail = "No answer came to an earlier close request."): void {
    this.#end({ kind: "close-stalled", id: positionId, detail });
  }

  #end(step: CloseStep): void {
    this.#underWay.delete(step.id);
    if (!this.#stopped) this.tell(step);
  }

  #isPatient(intent: Intent): boolean {
    return this.now() - intent.askedAt < PATIENCE_MS;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Problem && error.status < 500 && !UNDECIDED.has(error.status);
}
