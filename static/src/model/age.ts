const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** The time since `from` (RFC 3339) at `now` (ms), in its two largest units: `2d 4h`, `45s`. */
export function age(from: string, now: number): string {
  const seconds = secondsSince(from, now);
  const first = UNITS.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0s";
  return UNITS.slice(first, first + 2)
    .map(([size, name], place) => {
      const count = Math.floor(place === 0 ? seconds / size : (seconds % UNITS[first]![0]) / size);
      return count === 0 ? "" : `${count}${name}`;
    })
    .filter(Boolean)
    .join(" ");
}

/** Whole seconds since `from`; a stamp slightly in the future (clock skew) counts as now. */
export function secondsSince(from: string, now: number): number {
  return Math.max(0, Math.floor((now - Date.parse(from)) / 1000));
}
