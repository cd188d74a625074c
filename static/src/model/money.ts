import {
  groupedMagnitude,
  parseDecimal,
  roundHalfEven,
  signOf,
  trimmed,
  type Decimal,
} from "./decimal";

export type SignWord = "positive" | "negative" | "zero";

/** An amount ready to be shown; `sign` is the exact amount's, not the rounded one's. */
export interface MoneyText {
  readonly sign: SignWord;
  /** For example `+1,234.50`, or `+$1,234.50` for dollars. */
  readonly amount: string;
  /** For example `USDT`; empty where the amount carries a currency sign. */
  readonly unit: string;
  /** What the daemon sent, unrounded. */
  readonly raw: string;
}

/** A true minus: as wide as the plus sign and the figures, so columns stay still. */
export const MINUS = "\u2212";

const CURRENCY_SIGNS: Readonly<Record<string, string>> = { USD: "$" };
const TWO_PLACES = new Set(["USD", "USDT", "USDC", "USDE", "EUR"]);
const COIN_PLACES = 8;

/** Money as a person reads it: half-even to cents (coins: 8 places), grouped, sign in front. */
export function formatMoney(raw: string, currency: string): MoneyText {
  const exact = parseDecimal(raw);
  const places = TWO_PLACES.has(currency) ? 2 : COIN_PLACES;
  const mark = CURRENCY_SIGNS[currency] ?? "";
  return {
    sign: signWord(exact),
    amount: signMark(exact) + mark + groupedMagnitude(roundHalfEven(exact, places)),
    unit: mark === "" ? currency : "",
    raw: `${raw} ${currency}`.trim(),
  };
}

/** An amount that has no direction, such as a fee: rounded alike, without a sign. */
export function formatAmount(raw: string, currency: string): string {
  const { amount, unit } = formatMoney(raw, currency);
  return `${amount.replace("+", "")} ${unit}`.trimEnd();
}

/** A quantity or price: every digit that counts, grouped. */
export function formatNumber(raw: string): string {
  const exact = trimmed(parseDecimal(raw));
  return (signOf(exact) < 0 ? MINUS : "") + groupedMagnitude(exact);
}

/** A difference: like `formatNumber`, with a plus where it is above zero. */
export function formatSigned(raw: string): string {
  const exact = trimmed(parseDecimal(raw));
  return signMark(exact) + groupedMagnitude(exact);
}

export function signWord(value: Decimal): SignWord {
  const sign = signOf(value);
  if (sign === 0) return "zero";
  return sign > 0 ? "positive" : "negative";
}

function signMark(value: Decimal): string {
  return { positive: "+", negative: MINUS, zero: "" }[signWord(value)];
}
