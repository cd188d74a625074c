import { describe, expect, it } from "vitest";
import { frame } from "../../src/api/frames";
import { change, position } from "../../src/api/wire";
import { wirePosition } from "../builders";

describe("messages of the daemon", () => {
  it("are read into a position", () => {
    expect(position(wirePosition())).toMatchObject({
      id: "p1",
      unrealizedPnl: "12.34",
      legs: [{ symbol: "BTCUSDT", quantity: "0.5", price: null }],
    });
  });

  it("carry in a change only what changed", () => {
    expect(change({ id: "p1", unrealized_pnl: "5" })).toEqual({ id: "p1", removed: false, fields: { unrealizedPnl: "5" } });
    expect(change({ id: "p1", unrealized_pnl: null }).fields).toEqual({ unrealizedPnl: null });
    expect(change({ id: "p1", removed: true })).toEqual({ id: "p1", removed: true, fields: {} });
  });

  it("keep money as the text that it is", () => {
    expect(() => position(wirePosition({ unrealized_pnl: 12.34 }))).toThrow(/unrealized_pnl should be text/);
    expect(() => position(wirePosition({ unrealized_pnl: "NaN" }))).toThrow(/decimal/);
  });

  it("fail loudly on an unknown status, and take an unknown verdict for a doubt", () => {
    expect(() => position(wirePosition({ status: "LIMBO" }))).toThrow(/one of ACTIVE, CLOSING, CLOSED/);
    expect(position(wirePosition({ verdict: "brand-new" })).verdict).toBe("unverified");
  });

  it("refuse a position with a part missing", () => {
    const { name: _, ...rest } = wirePosition();
    expect(() => position(rest)).toThrow(/whole/);
  });

  it("come as frames of the stream", () => {
    expect(frame("snapshot", JSON.stringify({ seq: 1, positions: [wirePosition()] }))).toMatchObject({ kind: "snapshot", seq: 1 });
    expect(
      frame("close", JSON.stringify({ seq: 3, close_id: "c1", position_id: "p1", state: "FAILED", code: "residual", detail: "", legs: [{ component_id: "leg-1", outcome: "residual", filled: "0.3", detail: "" }] })),
    ).toMatchObject({ seq: 3, positionId: "p1", report: { detail: null, legs: [{ outcome: "residual", detail: null }] } });
    expect(frame("feed", JSON.stringify({ public: "live", private: "down", last_sweep_at: null }))).toEqual({
      kind: "feed",
      seq: null,
      feed: { public: "live", private: "down", lastSweepAt: null, tradingPaused: false },
    });
    expect(() => frame("snapshot", "{")).toThrow(SyntaxError);
  });
});
