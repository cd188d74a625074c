import { parseDecimal } from "../model/decimal";

/** A message that does not have the agreed shape; `message` says where. */
export class DecodeError extends Error {
  constructor(where: string, wanted: string) {
    super(`the daemon's message is not understood: ${where} should be ${wanted}`);
    this.name = "DecodeError";
  }
}

export type Json = Readonly<Record<string, unknown>>;

export function object(value: unknown, where: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DecodeError(where, "an object");
  }
  return { ...value };
}

export function list(from: Json, key: string): readonly unknown[] {
  const value = from[key];
  if (!Array.isArray(value)) throw new DecodeError(key, "a list");
  return value;
}

export function text(from: Json, key: string): string {
  const value = from[key];
  if (typeof value !== "string") throw new DecodeError(key, "text");
  return value;
}

/** Text, or null where it is null or absent. */
export function textOrNull(from: Json, key: string): string | null {
  return from[key] === undefined || from[key] === null ? null : text(from, key);
}

/** Words for a person, or null where there are none. */
export function wordsOrNull(from: Json, key: string): string | null {
  return textOrNull(from, key) || null;
}

export function flag(from: Json, key: string): boolean {
  const value = from[key];
  if (typeof value !== "boolean") throw new DecodeError(key, "true or false");
  return value;
}

export function integer(from: Json, key: string): number {
  const value = from[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new DecodeError(key, "an integer");
  return value;
}

/** A decimal string, checked here so that no view ever meets one it cannot format. */
export function decimal(from: Json, key: string): string {
  const value = text(from, key);
  try {
    parseDecimal(value);
  } catch {
    throw new DecodeError(key, "a decimal number as text");
  }
  return value;
}

export function decimalOrNull(from: Json, key: string): string | null {
  return from[key] === undefined || from[key] === null ? null : decimal(from, key);
}

/** One of the known words: an unknown state must fail loudly, it may mean anything. */
export function oneOf<Word extends string>(from: Json, key: string, words: readonly Word[]): Word {
  const value = text(from, key);
  const found = words.find((word) => word === value);
  if (found === undefined) throw new DecodeError(key, `one of ${words.join(", ")}`);
  return found;
}
