import { describe, expect, it } from "vitest";
import type { PnlPoint } from "../../src/model/evidence";
import { sparkline } from "../../src/model/sparkline";

const point = (minute: number, net: string | null, unrealized = net ?? "0", currency = "USDT"): PnlPoint => ({
  at: `2026-03-01T12:0${minute}:00Z`,
  unrealized,
  net,
  currency,
});

describe("the line of a P&L history", () => {
  it("runs from edge to edge, high values up, with zero where it is crossed", () => {
    const line = sparkline([point(0, "-1"), point(1, "3"), point(4, "1.00")], 104, 24);
    expect(line).toMatchObject({
      path: "M2 22L27 2L102 12",
      zeroY: 17,
      lowest: "-1",
      highest: "3",
      last: "1.00",
      isNet: true,
    });
  });

  it("shows no zero that lies outside, and is flat where nothing moved", () => {
    expect(sparkline([point(0, "1"), point(1, "1")], 104, 24)).toMatchObject({ path: "M2 12L102 12", zeroY: null });
  });

  it("falls back to the unrealized where a net is missing, never to zero", () => {
    const line = sparkline([point(0, "5", "7"), point(1, null, "8")], 104, 24);
    expect(line).toMatchObject({ isNet: false, lowest: "7", highest: "8" });
  });

  it("mixes no currencies and makes no line of a single point", () => {
    expect(sparkline([], 104, 24)).toBeNull();
    expect(sparkline([point(0, "1"), point(1, "2", "2", "USD")], 104, 24)).toBeNull();
  });
});
