import { describe, expect, it } from "vitest";
import { blockersOf, isAgeing, isExpired, isOf, isSameChoice, percentWords, slippageFault, WHOLE } from "../../src/model/closePlan";
import { filledOf, mayBeCancelled } from "../../src/model/position";
import { closeReport, leg, NOW, plan, planned } from "../builders";

describe("a plan", () => {
  it("is of the fraction it says, however that is written", () => {
    const whole = plan(planned());
    expect([isOf(whole, null), isOf(whole, "0.5"), isOf({ ...whole, fraction: "1.0" }, null)]).toEqual([true, false, true]);
    expect(isOf({ ...whole, fraction: "0.50" }, "0.5")).toBe(true);
  });

  it("is read anew before it expires", () => {
    const shown = plan(planned());
    expect([isAgeing(shown, NOW + 49_000), isAgeing(shown, NOW + 50_000), isExpired(shown, NOW + 59_999), isExpired(shown, NOW + 60_000)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  it("is in nobody's way once resting orders may be cancelled, unless by something else", () => {
    const resting = { code: "resting-orders", detail: "", resolve: [] };
    const netted = { code: "netted", detail: "", resolve: [] };
    expect(blockersOf(plan(planned({ blockers: [resting] })), false)).toEqual([resting]);
    expect(blockersOf(plan(planned({ blockers: [resting] })), true)).toEqual([]);
    expect(blockersOf(plan(planned({ blockers: [resting] }), planned({ blockers: [netted] })), true)).toEqual([netted]);
  });
});

describe("terms", () => {
  it("are the same choice whichever preview was looked at", () => {
    expect(isSameChoice(WHOLE, { ...WHOLE, expectedPlan: "x" })).toBe(true);
    expect(isSameChoice(WHOLE, { ...WHOLE, fraction: "0.5" })).toBe(false);
    expect(isSameChoice(WHOLE, { ...WHOLE, slippage: "1" })).toBe(false);
    expect(isSameChoice(WHOLE, { ...WHOLE, cancelResting: true })).toBe(false);
  });

  it.each(["", "0.01", "0.5", "9.99", "10", "10.00"])("take a slippage of %o", (text) => {
    expect(slippageFault(text)).toBeNull();
  });

  it.each(["0", "0.001", "10.01", "-1", "1e1", "half", "1,5", ".5", "100", "5%"])("refuse a slippage of %o", (text) => {
    expect(slippageFault(text)).toContain("0.01 to 10");
  });

  it.each([["0.25", "25 %"], ["0.5", "50 %"], ["1", "100 %"], ["0.333", "33.3 %"], ["0.0005", "0.05 %"], ["0.1000", "10 %"]])(
    "read a fraction of %s as %s",
    (fraction, words) => {
      expect(percentWords(fraction)).toBe(words);
    },
  );
});

describe("a running close", () => {
  it("has filled of a leg what is less open than when it was asked for", () => {
    const target = { componentId: "leg-1", open: "0.5", quantity: "0.25" };
    expect(filledOf(target, leg({ quantity: "0.8", closedQuantity: "0.4" }))).toBe("0.1");
    expect(filledOf(target, leg({ quantity: "0.9" }))).toBe("0");
  });

  it("may be cancelled until an order may have left", () => {
    const may = (state: string) => mayBeCancelled(closeReport({ state }));
    expect(["ACCEPTED", "WAITING", "PREFLIGHT"].every(may)).toBe(true);
    expect(["SENDING", "SETTLING", "VERIFYING", "DONE", "FAILED", "CANCELLED"].some(may)).toBe(false);
  });
});
