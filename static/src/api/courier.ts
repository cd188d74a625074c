import type { CloseTerms } from "../model/closePlan";
import type { CloseStep } from "../model/closing";
import { postClose } from "./closes";
import type { Intent, Intents } from "./intents";
import { detailOf, Problem } from "./problem";

export type PostClose = typeof postClose;

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

  /** One position, or several that close together. */
  ask(positionIds: readonly string[], terms: CloseTerms): void {
    if (positionIds.length === 0 || positionIds.some((id) => this.#underWay.has(id))) return;
    void this.#attempt(this.intents.confirm(positionIds, terms), 0, terms);
  }

  /** Takes up what a reload interrupted; what is too old for that is put to the person. */
  resume(): void {
    for (const intent of this.intents.all()) {
      if (this.#isPatient(intent)) void this.#attempt(intent, 0, intent.terms);
      else this.#stall(intent);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** `agreed` is what the person agreed to last; the intent may be of an earlier preview. */
  async #attempt(intent: Intent, tries: number, agreed: CloseTerms): Promise<void> {
    for (const id of intent.positionIds) {
      this.#underWay.add(id);
      if (tries === 0) this.tell({ kind: "close-asked", id });
    }
    try {
      const closes = await this.post(intent.positionIds, intent.key, intent.terms);
      this.intents.answered(intent);
      this.#end(intent, (id) => ({ kind: "close-accepted", id, closeId: closes.get(id) ?? "" }));
    } catch (error) {
      if (!this.#stopped) this.#onFailure(intent, tries, agreed, error);
    }
  }

  #onFailure(intent: Intent, tries: number, agreed: CloseTerms, error: unknown): void {
    const detail = detailOf(error);
    if (error instanceof Problem && error.status === 401) {
      this.#stall(intent, detail);
      this.onSignedOut();
    } else if (isRefusal(error)) {
      this.intents.answered(intent);
      // A key that was taken gets its answer: this proves that the older request never was.
      const isOutdated = error.code === "plan-changed" && intent.terms.expectedPlan !== agreed.expectedPlan;
      if (isOutdated) void this.#attempt(this.intents.confirm(intent.positionIds, agreed), 0, agreed);
      else this.#end(intent, (id) => ({ kind: "close-refused", id, detail }));
    } else if (this.#isPatient(intent)) {
      for (const id of intent.positionIds) this.tell({ kind: "close-unanswered", id, detail });
      this.#retry(intent, tries, agreed);
    } else {
      this.#stall(intent, detail);
    }
  }

  #retry(intent: Intent, tries: number, agreed: CloseTerms): void {
    const wait = WAITS_MS[Math.min(tries, WAITS_MS.length - 1)];
    const timer = setTimeout(() => {
      this.#timers.delete(intent.key);
      // The wait itself may have been a night's sleep of the machine.
      if (this.#isPatient(intent)) void this.#attempt(intent, tries + 1, agreed);
      else this.#stall(intent);
    }, wait);
    this.#timers.set(intent.key, timer);
  }

  #stall(intent: Intent, detail = "No answer came to an earlier close request."): void {
    const { positionIds: together } = intent;
    this.#end(intent, (id) => ({ kind: "close-stalled", id, detail, together }));
  }

  #end(intent: Intent, stepOf: (id: string) => CloseStep): void {
    for (const id of intent.positionIds) {
      this.#underWay.delete(id);
      if (!this.#stopped) this.tell(stepOf(id));
    }
  }

  #isPatient(intent: Intent): boolean {
    return this.now() - intent.askedAt < PATIENCE_MS;
  }
}

function isRefusal(error: unknown): error is Problem {
  return error instanceof Problem && error.status < 500 && !UNDECIDED.has(error.status);
}
