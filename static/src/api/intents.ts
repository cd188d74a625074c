import type { Storage } from "./storage";

/** A close somebody confirmed and that no answer has come to yet. */
export interface Intent {
  /** The Idempotency-Key: the same for every try, so that the daemon takes it once. */
  readonly key: string;
  /** When it was confirmed, ms. */
  readonly askedAt: number;
}

/** As long as the daemon remembers a key: after that the same key would be a new request. */
const KEPT_MS = 24 * 3_600_000;

/** The unanswered intents of one user, by position; they survive a reload. */
export class Intents {
  readonly #shelf: string;

  constructor(
    private readonly storage: Storage,
    userId: string,
    private readonly now: () => number = Date.now,
  ) {
    this.#shelf = `positiond.intents.${userId}`;
  }

  all(): ReadonlyMap<string, Intent> {
    const kept = this.storage.read(this.#shelf);
    const entries = typeof kept === "object" && kept !== null ? Object.entries(kept) : [];
    return new Map(
      entries.flatMap(([id, value]) => {
        const intent = intentFrom(value);
        return intent !== null && this.now() - intent.askedAt < KEPT_MS ? [[id, intent]] : [];
      }),
    );
  }

  /** A new confirmation: with the key of an unanswered one, if there is one. */
  confirm(positionId: string): Intent {
    const intent = { key: this.all().get(positionId)?.key ?? newKey(), askedAt: this.now() };
    this.#write(new Map(this.all()).set(positionId, intent));
    return intent;
  }

  answered(positionId: string): void {
    const left = new Map(this.all());
    if (left.delete(positionId)) this.#write(left);
  }

  #write(intents: ReadonlyMap<string, Intent>): void {
    this.storage.write(this.#shelf, Object.fromEntries(intents));
  }
}

function intentFrom(value: unknown): Intent | null {
  if (typeof value !== "object" || value === null) return null;
  const { key, askedAt } = { key: null, askedAt: null, ...value };
  return typeof key === "string" && typeof askedAt === "number" ? { key, askedAt } : null;
}

/** randomUUID exists only on https and localhost; the bytes are as random without it. */
function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
