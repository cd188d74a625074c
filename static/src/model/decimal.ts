/** Exact decimals: money arrives as strings and never becomes a binary float. */
export interface Decimal {
  /** The number times 10^scale. */
  readonly units: bigint;
  readonly scale: number;
}

export type Sign = -1 | 0 | 1;

export const ZERO: Decimal = { units: 0n, scale: 0 };

const SHAPE = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Reads a decimal string (also `1E-8`, as Python prints small ones); RangeError otherwise. */
export function parseDecimal(text: string): Decimal {
  const found = SHAPE.exec(text);
  const digits = `${found?.[2] ?? ""}${found?.[3] ?? ""}`;
  if (found === null || digits === "") {
    throw new RangeError(`not a decimal number: ${JSON.stringify(text)}`);
  }
  const magnitude = BigInt(digits);
  const units = found[1] === "-" ? -magnitude : magnitude;
  const scale = (found[3] ?? "").length - Number(found[4] ?? "0");
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

export function signOf(value: Decimal): Sign {
  if (value.units === 0n) return 0;
  return value.units < 0n ? -1 : 1;
}

export function add(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return { units: unitsAt(left, scale) + unitsAt(right, scale), scale };
}

export function subtract(left: Decimal, right: Decimal): Decimal {
  return add(left, { units: -right.units, scale: right.scale });
}

export function multiply(left: Decimal, right: Decimal): Decimal {
  return { units: left.units * right.units, scale: left.scale + right.scale };
}

export function absolute(value: Decimal): Decimal {
  return value.units < 0n ? { units: -value.units, scale: value.scale } : value;
}

/** Below, equal to or above zero as `left` is below, equal to or above `right`. */
export function compareDecimals(left: Decimal, right: Decimal): Sign {
  return signOf(subtract(left, right));
}

/** Rounded half-even to `places` decimals, and padded to exactly that many. */
export function roundHalfEven(value: Decimal, places: number): Decimal {
  if (value.scale <= places) return { units: unitsAt(value, places), scale: places };
  const divisor = 10n ** BigInt(value.scale - places);
  const magnitude = value.units < 0n ? -value.units : value.units;
  const quotient = magnitude / divisor;
  const twice = (magnitude % divisor) * 2n;
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  const rounded = up ? quotient + 1n : quotient;
  return { units: value.units < 0n ? -rounded : rounded, scale: places };
}

/** The magnitude in plain digits, thousands separated by commas; no sign. */
export function groupedMagnitude(value: Decimal): string {
  const digits = absolute(value).units.toString().padStart(value.scale + 1, "0");
  const whole = digits.slice(0, digits.length - value.scale);
  const fraction = digits.slice(digits.length - value.scale);
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === "" ? grouped : `${grouped}.${fraction}`;
}

/** Without the zeros that end the fraction. */
export function trimmed(value: Decimal): Decimal {
  let { units, scale } = value;
  while (scale > 0 && units % 10n === 0n) {
    units /= 10n;
    scale -= 1;
  }
  return { units, scale };
}

/** As a decimal string again, exact. */
export function toText(value: Decimal): string {
  return (value.units < 0n ? "-" : "") + groupedMagnitude(value).replaceAll(",", "");
}

function unitsAt(value: Decimal, scale: number): bigint {
  return value.units * 10n ** BigInt(scale - value.scale);
}
