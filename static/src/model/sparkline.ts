import { parseDecimal, toText } from "./decimal";
import type { PnlPoint } from "./evidence";

/** A line of P&L over time, in the pixels of its box. */
export interface Sparkline {
  /** SVG path data. */
  readonly path: string;
  /** Where zero lies; null where the line stays on one side of it. */
  readonly zeroY: number | null;
  readonly from: string;
  readonly to: string;
  readonly lowest: string;
  readonly highest: string;
  readonly last: string;
  readonly currency: string;
  readonly isNet: boolean;
}

interface Dot {
  readonly at: number;
  /** Pixels only: what is shown as a number comes from the text. */
  readonly height: number;
  readonly text: string;
}

const MARGIN = 2;

/** The net where every point has one, else the unrealized; null for fewer than two points. */
export function sparkline(points: readonly PnlPoint[], width: number, height: number): Sparkline | null {
  const currency = points.at(-1)?.currency ?? "";
  // A position that got a leg in another coin is valued in another currency from then on.
  const own = points.filter((point) => point.currency === currency);
  const [first, last] = [own[0], own.at(-1)];
  if (own.length < 2 || first === undefined || last === undefined) return null;
  const isNet = own.every((point) => point.net !== null);
  const dots = own.map((point) => dotOf(point.at, isNet ? (point.net ?? "0") : point.unrealized));
  const byHeight = [...dots].sort((left, right) => left.height - right.height);
  const [low, high, end] = [byHeight[0], byHeight.at(-1), dots.at(-1)];
  if (low === undefined || high === undefined || end === undefined) return null;
  const y = scale(low.height, high.height, height - MARGIN, MARGIN);
  const x = scale(Date.parse(first.at), Date.parse(last.at), MARGIN, width - MARGIN);
  return {
    path: dots.map((dot, i) => `${i === 0 ? "M" : "L"}${x(dot.at)} ${y(dot.height)}`).join(""),
    zeroY: low.height < 0 && high.height > 0 ? y(0) : null,
    from: first.at,
    to: last.at,
    lowest: low.text,
    highest: high.text,
    last: end.text,
    currency,
    isNet,
  };
}

function dotOf(at: string, text: string): Dot {
  return { at: Date.parse(at), height: Number(toText(parseDecimal(text))), text };
}

/** Linear, to tenths of a pixel; a span of nothing lies in the middle. */
function scale(from: number, to: number, low: number, high: number): (value: number) => number {
  if (from === to) return () => (low + high) / 2;
  return (value) => Math.round((low + ((value - from) / (to - from)) * (high - low)) * 10) / 10;
}
