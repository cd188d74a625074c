import { useEffect, useState } from "preact/hooks";
import type { Desk } from "../api/desk";
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
