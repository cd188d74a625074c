import { describe, expect, it } from "vitest";
import { adoptable, faultOf, type Holding } from "../../src/model/adopting";

const holding = (over: Partial<Holding> = {}): Holding => ({
  category: "linear",
  symbol: "BTCUSDT",
  positionIdx: 0,
  total: "0.9",
  tracked: "0.5",
  unassigned: "0.1",
  entryPrice: "100.5",
  price: "101",
  ...over,
});

describe("what of a holding can be recorded", () => {
  it("is what no position tracks, the trader's own included", () => {
    expect(adoptable(holding())).toEqual({ category: "linear", symbol: "BTCUSDT", side: "Buy", quantity: "0.4", entryPrice: "100.5" });
    expect(adoptable(holding({ total: "-8.0", tracked: "0" }))).toMatchObject({ side: "Sell", quantity: "8" });
  });

  it("is nothing where all is tracked, or more than there is", () => {
    expect(adoptable(holding({ total: "0.5" }))).toBeNull();
    expect(adoptable(holding({ total: "0.3" }))).toBeNull();
    expect(adoptable(holding({ total: "0" }))).toBeNull();
  });

  it("is named by its symbol for spot, and never short there", () => {
    const coin = holding({ category: "spot", symbol: "BTC", tracked: "0", unassigned: "0", entryPrice: null });
    expect(adoptable(coin)).toMatchObject({ symbol: "BTCUSDT", quantity: "0.9", entryPrice: "101" });
    expect(adoptable({ ...coin, price: null })?.entryPrice).toBe("");
    expect(adoptable({ ...coin, symbol: "USDT" })?.symbol).toBe("");
    expect(adoptable({ ...coin, total: "-1" })).toBeNull();
  });
});

describe("a draft", () => {
  const draft = { category: "linear", symbol: "BTCUSDT", side: "Buy", quantity: "0.4", entryPrice: "100" } as const;

  it.each([
    [{}, null],
    [{ quantity: "0.41" }, /only 0.4 can/],
    [{ quantity: "0" }, /above zero/],
    [{ quantity: "a lot" }, /above zero/],
    [{ entryPrice: "" }, /entry price/],
    [{ symbol: " " }, /Name the symbol/],
  ])("%o is judged before it is sent", (over, wanted) => {
    const fault = faultOf({ ...draft, ...over }, holding());
    if (wanted === null) expect(fault).toBeNull();
    else expect(fault).toMatch(wanted);
  });
});
