import type { Frame } from "../model/book";
import { decimalOrNull, flag, integer, list, object, text, textOrNull, wordsOrNull, type Json } from "./decode";
import { change, closeReport, position, verdict } from "./wire";

export const FRAME_KINDS = ["snapshot", "positions", "close", "deviation", "feed"] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** A frame of the stream out of its text; throws DecodeError or SyntaxError. */
export function frame(kind: FrameKind, data: string): Frame {
  const from = object(JSON.parse(data), kind);
  switch (kind) {
    case "snapshot":
      return { kind, seq: integer(from, "seq"), positions: list(from, "positions").map(position) };
    case "positions":
      return { kind, seq: integer(from, "seq"), changes: list(from, "changes").map(change) };
    case "close":
      return { kind, seq: seqOrNull(from), positionId: text(from, "position_id"), report: closeReport(from) };
    case "deviation":
      return { kind, seq: seqOrNull(from), deviation: deviation(from) };
    case "feed":
      return { kind, seq: seqOrNull(from), feed: feed(from) };
  }
}

function deviation(from: Json) {
  return {
    positionId: text(from, "position_id"),
    verdict: verdict(from, "verdict"),
    symbol: textOrNull(from, "symbol"),
    difference: decimalOrNull(from, "difference"),
    cause: wordsOrNull(from, "cause"),
  };
}

function feed(from: Json) {
  return {
    public: text(from, "public"),
    private: text(from, "private"),
    lastSweepAt: textOrNull(from, "last_sweep_at"),
    tradingPaused: from["trading_paused"] === undefined ? false : flag(from, "trading_paused"),
  };
}

function seqOrNull(from: Json): number | null {
  return from["seq"] === undefined ? null : integer(from, "seq");
}
