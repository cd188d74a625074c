/** The part of localStorage that is used. */
export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Values by name that survive a reload where the browser allows it, and this visit where not. */
export class Storage {
  readonly #visit = new Map<string, string>();

  constructor(private readonly shelf: () => Shelf = () => localStorage) {}

  read(key: string): unknown {
    const kept = this.#visit.get(key) ?? this.#fromShelf(key);
    if (kept === null) return null;
    try {
      return JSON.parse(kept);
    } catch {
      // Written by something else, or cut short: as good as nothing.
      return null;
    }
  }

  write(key: string, value: unknown): void {
    const kept = JSON.stringify(value);
    this.#visit.delete(key);
    try {
      this.shelf().setItem(key, kept);
    } catch {
      // Storage is forbidden or full: the value lives as long as the page.
      this.#visit.set(key, kept);
    }
  }

  #fromShelf(key: string): string | null {
    try {
      return this.shelf().getItem(key);
    } catch {
      // Browsers throw on the mere access where storage is forbidden; `write` then kept it.
      return null;
    }
  }
}
