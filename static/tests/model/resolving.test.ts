import { describe, expect, it } from "vitest";
import { deviationOf } from "../../src/model/evidence";
import { actionsFor, planOf } from "../../src/model/resolving";
import type { DeviationRow } from "../../src/model/evidence";
import type { Leg } from "../../src/model/position";
import { altered, deviation, leg } from "../builders";

function offered(legOver: Partial<Leg>, rowOver: Partial<DeviationRow> = {}) {
  const off = leg(legOver);
  return actionsFor(altered({ legs: [off], deviations: [deviation(rowOver)] }), off);
}

describe("what can be done about a deviation", () => {
  it.each<[string, Partial<Leg>, Partial<DeviationRow>, string[]]>([
    ["part is gone", { actual: "0.1", difference: "-0.4" }, { actual: "0.1" }, ["rebase"]],
    ["all is gone", { actual: "0", difference: "-0.5" }, { actual: "0" }, ["mark_closed"]],
    ["flipped", { actual: "-0.2", difference: "-0.7" }, { actual: "-0.2", kind: "flipped" }, ["mark_closed"]],
    ["crumbs of a coin are left", { category: "spot", coin: "BTC", actual: "0.001", difference: "-0.499" }, {}, ["rebase", "mark_closed"]],
    ["a coin is gone, and of others' too", { category: "spot", coin: "BTC", actual: "-1.5", difference: "-2" }, {}, ["mark_closed"]],
    ["a coin is gone", { category: "spot", coin: "BTC", actual: "0", difference: "-0.5" }, {}, ["mark_closed"]],
    ["more is there", { actual: "0.9", difference: "0.4" }, { actual: "0.9", kind: "surplus" }, ["accept", "rebase"]],
    ["a short with more there", { side: "Sell", actual: "0.9", difference: "0.4" }, { expected: "-0.5", actual: "-0.9" }, ["accept", "rebase"]],
    ["a short with less there", { side: "Sell", actual: "0.1", difference: "-0.4" }, { expected: "-0.5", actual: "-0.1" }, ["rebase"]],
    ["the trader's own part shrank", { actual: "0.3", difference: "-0.2" }, { expected: "1", actual: "0.8" }, ["accept", "rebase"]],
    ["a wallet, which has no unassigned part", { category: "spot", coin: "BTC", actual: "0.9", difference: "0.4" }, { category: "spot", symbol: "BTC", actual: "0.9" }, ["rebase"]],
    ["a permitted difference", { actual: "0.499", difference: "-0.001", deviates: false }, {}, []],
    ["no reading", { actual: null, difference: null }, {}, []],
  ])("%s", (_, legOver, rowOver, wanted) => {
    expect(offered(legOver, rowOver)).toEqual(wanted);
  });

  it("is nothing on doubt, and nothing while a close is under way", () => {
    const [off] = altered().legs;
    if (off === undefined) throw new Error("no leg");
    expect(actionsFor(altered({ verdict: "unverified" }), off)).toEqual([]);
    expect(actionsFor(altered({ status: "CLOSING" }), off)).toEqual([]);
  });
});

describe("what an action changes", () => {
  const off = leg({ quantity: "0.8", closedQuantity: "0.3", actual: "0.1", difference: "-0.4" });
  const position = altered({ legs: [off, leg({ id: "l2", symbol: "ETHUSDT" })] });

  it("is told before and after, of what is open", () => {
    expect(planOf("rebase", position, off).effects).toEqual([{ what: "Long BTCUSDT, open", before: "0.5", after: "0.1" }]);
    expect(planOf("mark_closed", position, off).effects).toEqual([{ what: "Long BTCUSDT, open", before: "0.5", after: "0" }]);
    expect(planOf("accept", position, off).effects).toEqual([
      { what: "Expected of BTCUSDT on Bybit", before: "+0.5", after: "+0.1" },
      { what: "Long BTCUSDT, open", before: "0.5", after: "0.5" },
    ]);
  });

  it("says when the position ends with it", () => {
    expect(planOf("mark_closed", position, off).meaning).not.toContain("the position is closed");
    expect(planOf("mark_closed", altered({ legs: [off] }), off).meaning).toContain("the position is closed");
  });
});

describe("a leg's deviation", () => {
  const rows = [deviation({ id: 1, positionIdx: 2 }), deviation({ id: 2, category: "spot", symbol: "BTC" }), deviation({ id: 3, positionIdx: 1 })];
  const position = altered({ deviations: rows });

  it("is the one of its own bucket: side in hedge mode, coin for spot", () => {
    expect(deviationOf(position, leg())?.id).toBe(3);
    expect(deviationOf(position, leg({ side: "Sell" }))?.id).toBe(1);
    expect(deviationOf(position, leg({ category: "spot", coin: "BTC" }))?.id).toBe(2);
    expect(deviationOf(position, leg({ category: "spot", coin: null }))).toBeNull();
    expect(deviationOf(position, leg({ category: "inverse" }))).toBeNull();
  });
});
