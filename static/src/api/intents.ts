import { isSameChoice, WHOLE, type CloseTerms } from "../model/closePlan";
import type { Storage } from "./storage";

/** A close somebody confirmed and that no answer has come to yet. */
export interface Intent {
  /** One position, or those that close together. */
  readonly positionIds: readonly string[];
  /** The Idempotency-Key: the same for every try, so that the daemon takes it once. */
  readonly key: string;
  /** When it was confirmed, ms. */
  readonly askedAt: number;
  /** Sent with every try just as they were: the key is of these. */
  readonly terms: CloseTerms;
}

/** As long as the daemon remembers a key: after that the same key would be a new request. */
const KEPT_MS = 24 * 3_600_000;
const BETWEEN_IDS = "+";

/** The unanswered intents of one user; they survive a reload. */
export class Intents {
  readonly #shelf: string;

  constructor(
    private readonly storage: Storage,
    userId: string,
    private readonly now: () => number = Date.now,
  ) {
    this.#shelf = `positiond.intents.${userId}`;
  }

  all(): readonly Intent[] {
    const kept = this.storage.read(this.#shelf);
    const entries = typeof kept === "object" && kept !== null ? Object.entries(kept) : [];
    return entries.flatMap(([name, value]) => {
      const intent = intentFrom(name, value);
      return intent !== null && this.now() - intent.askedAt < KEPT_MS ? [intent] : [];
    });
  }

  /** A new confirmation; of an unanswered one that asked for the same, its key and its terms. */
  confirm(positionIds: readonly string[], terms: CloseTerms): Intent {
    const name = nameOf(positionIds);
    const earlier = this.all().find((each) => nameOf(each.positionIds) === name);
    const isSame = earlier !== undefined && isSameChoice(earlier.terms, terms);
    const intent = isSame
      ? { ...earlier, askedAt: this.now() }
      : { positionIds, key: newKey(), askedAt: this.now(), terms };
    this.#write([...this.#others(name), intent]);
    return intent;
  }

  answered(intent: Intent): void {
    this.#write(this.#others(nameOf(intent.positionIds)));
  }

  #others(name: string): readonly Intent[] {
    return this.all().filter((each) => nameOf(each.positionIds) !== name);
  }

  #write(intents: readonly Intent[]): void {
    const kept = intents.map(({ positionIds, ...rest }) => [nameOf(positionIds), rest]);
    this.storage.write(this.#shelf, Object.fromEntries(kept));
  }
}

function nameOf(positionIds: readonly string[]): string {
  return [...positionIds].sort().join(BETWEEN_IDS);
}

function intentFrom(name: string, value: unknown): Intent | null {
  if (typeof value !== "object" || value === null) return null;
  const { key, askedAt, terms } = { key: null, askedAt: null, terms: null, ...value };
  if (typeof key !== "string" || typeof askedAt !== "number") return null;
  return { positionIds: name.split(BETWEEN_IDS), key, askedAt, terms: termsFrom(terms) };
}

/** An earlier version of the page kept no terms: it knew of none. */
function termsFrom(value: unknown): CloseTerms {
  if (typeof value !== "object" || value === null) return WHOLE;
  const { fraction, slippage, cancelResting, expectedPlan }: Record<string, unknown> = { ...value };
  return {
    fraction: textOrNull(fraction),
    slippage: textOrNull(slippage),
    cancelResting: cancelResting === true,
    expectedPlan: textOrNull(expectedPlan),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** randomUUID exists only on https and localhost; the bytes are as random without it. */
export function newKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
