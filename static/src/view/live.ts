import { useEffect, useState } from "preact/hooks";
import type { Desk } from "../api/desk";
import { detailOf } from "../api/problem";
import type { Storage } from "../api/storage";
import type { Book } from "../model/book";

/** The desk's book; draws again once per animation frame in which it changed. */
export function useBook(desk: Desk): Book {
  const [book, setBook] = useState(desk.book);
  useEffect(() => {
    setBook(desk.book);
    return desk.watch(() => setBook(desk.book));
  }, [desk]);
  return book;
}

/** The daemon's time in ms, moving once a second. */
export function useNow(offset: number): number {
  const [now, setNow] = useState(() => Date.now() + offset);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() + offset), 1_000);
    return () => clearInterval(timer);
  }, [offset]);
  return now;
}

/** A setting that survives a reload; `read` turns what was kept (or null) into a valid value. */
export function useKept<Value>(
  storage: Storage,
  key: string,
  read: (kept: unknown) => Value,
): readonly [Value, (value: Value) => void] {
  const [value, setValue] = useState(() => read(storage.read(key)));
  const keep = (next: Value) => {
    storage.write(key, next);
    setValue(() => next);
  };
  return [value, keep];
}

export interface Fetched<Value> {
  /** The last that came; it stays while a newer one is asked for. */
  readonly value: Value | null;
  readonly fault: string | null;
}

/** What `ask` gives, asked again when `key` changes; an answer that was overtaken is dropped. */
export function useFetched<Value>(ask: () => Promise<Value>, key: string): Fetched<Value> {
  const [fetched, setFetched] = useState<Fetched<Value>>({ value: null, fault: null });
  useEffect(() => {
    let isWanted = true;
    ask().then(
      (value) => isWanted && setFetched({ value, fault: null }),
      (error: unknown) => isWanted && setFetched(({ value }) => ({ value, fault: detailOf(error) })),
    );
    return () => void (isWanted = false);
  }, [key]);
  return fetched;
}

export interface Attempt {
  readonly isBusy: boolean;
  /** Why the last try failed, in the daemon's words. */
  readonly fault: string | null;
  readonly run: (task: () => Promise<void>, onDone: () => void) => void;
  readonly fail: (fault: string) => void;
}

/** One task of a person at a time, and what came of it. */
export function useAttempt(): Attempt {
  const [state, setState] = useState<Pick<Attempt, "isBusy" | "fault">>({ isBusy: false, fault: null });
  const run = (task: () => Promise<void>, onDone: () => void) => {
    setState({ isBusy: true, fault: null });
    task().then(
      () => {
        setState({ isBusy: false, fault: null });
        onDone();
      },
      (error: unknown) => setState({ isBusy: false, fault: detailOf(error) }),
    );
  };
  return { ...state, run, fail: (fault) => setState({ isBusy: false, fault }) };
}
