import { describe, expect, it } from "vitest";
import { frame } from "../../src/api/frames";
import { change, closeReport, position } from "../../src/api/wire";
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

  it("carry each position's evidence, and the daemon's own word on what deviates", () => {
    const row = {
      id: 7, category: "spot", symbol: "BTC", position_idx: 0, kind: "missing", expected: "1", actual: "0.6", difference: "-0.4",
      first_seen: "t1", last_verified: "t2", ended_at: null, resolution: null, cause: "By hand.", while_away: false,
    };
    const [component] = wirePosition()["components"] as Record<string, unknown>[];
    const leg = (over: object) => position(wirePosition({ components: [{ ...component, ...over }] })).legs[0];
    expect(position(wirePosition({ deviations: [row] })).deviations).toMatchObject([{ symbol: "BTC", cause: "By hand.", firstSeen: "t1" }]);
    expect(leg({ difference: "-0.001", deviates: false, note: "fee" })).toMatchObject({ deviates: false, note: "fee", recordedQuantity: "0.8" });
    expect(leg({ difference: "-0.001", deviates: undefined })).toMatchObject({ deviates: true });
    expect(position(wirePosition({ booked: [{ coin: "BTC", fees: "0.1", funding: "-1", realized_pnl: "2" }] })).booked).toEqual([
      { coin: "BTC", fees: "0.1", funding: "-1", realizedPnl: "2" },
    ]);
    expect(() => position(wirePosition({ deviations: [{ ...row, expected: 1 }] }))).toThrow(/expected should be text/);
  });

  it("fail loudly on an unknown status, and take an unknown verdict for a doubt", () => {
    expect(() => position(wirePosition({ status: "LIMBO" }))).toThrow(/one of ACTIVE, CLOSING, CLOSED/);
    expect(position(wirePosition({ verdict: "brand-new" })).verdict).toBe("unverified");
  });

  it("refuse a position with a part missing", () => {
    const { name: _, ...rest } = wirePosition();
    expect(() => position(rest)).toThrow(/whole/);
  });

  it("tell of a close how much of each leg it is for", () => {
    const asked = { close_id: "c1", position_id: "p1", state: "SETTLING", code: null, detail: null, legs: [] };
    expect(closeReport(asked)).toMatchObject({ fraction: null, isOfSet: false, targets: [] });
    const target = { component_id: "leg-1", open: "0.5", quantity: "0.25" };
    expect(closeReport({ ...asked, fraction: "0.5", set_id: "s", targets: [target] })).toMatchObject({
      fraction: "0.5",
      isOfSet: true,
      targets: [{ componentId: "leg-1", open: "0.5", quantity: "0.25" }],
    });
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
