import { describe, expect, it } from "vitest";
import { age } from "../../src/model/age";
import { matching, nextOrder, sorted, type Entry } from "../../src/model/listing";
import { legCurrency, openQuantity, type Position } from "../../src/model/position";
import { showsAltered, standingOf, worstLeg } from "../../src/model/standing";
import { totals } from "../../src/model/totals";
import { failureWords } from "../../src/model/words";
import { NOW, closeReport, leg, position } from "../builders";

const entry = (over: Partial<Position>): Entry => ({ position: position(over), pending: undefined, accountLabel: "Main" });
const ids = (entries: readonly Entry[]) => entries.map((each) => each.position.id);

describe("the list", () => {
  const rows = [
    entry({ id: "a", name: "Zeta", unrealizedPnl: "9", openedAt: "2026-03-01T09:00:00Z" }),
    entry({ id: "b", name: "alpha", unrealizedPnl: "-10", openedAt: "2026-03-01T11:00:00Z", verdict: "altered" }),
    entry({ id: "c", name: "Mid", unrealizedPnl: null, openedAt: "2026-03-01T10:00:00Z", verdict: "unverified" }),
    entry({ id: "d", name: "Nu", unrealizedPnl: "10.5", openedAt: "2026-03-01T08:00:00Z", status: "CLOSING" }),
  ];

  it.each([
    ["name", false, "bcda"],
    ["name", true, "adcb"],
    ["pnl", false, "badc"],
    ["pnl", true, "dabc"],
    ["age", false, "bcad"],
    ["status", false, "bcda"],
  ] as const)("sorts by %s (descending: %s), unpriced rows last", (column, descending, wanted) => {
    expect(ids(sorted(rows, { column, descending })).join("")).toBe(wanted);
  });

  it("starts money with the largest and turns a column around on the second click", () => {
    expect(nextOrder({ column: "name", descending: false }, "pnl")).toEqual({ column: "pnl", descending: true });
    expect(nextOrder({ column: "pnl", descending: true }, "pnl")).toEqual({ column: "pnl", descending: false });
  });

  it("finds by name, symbol, status and account, all words together", () => {
    expect(ids(matching(rows, "ZETA"))).toEqual(["a"]);
    expect(ids(matching(rows, "altered main"))).toEqual(["b"]);
    expect(ids(matching(rows, "closing"))).toEqual(["d"]);
    expect(matching(rows, "btcusdt")).toHaveLength(4);
    expect(matching(rows, "btcusdt nothing")).toHaveLength(0);
  });

  it("adds up each currency by itself, exactly, and counts what has no price", () => {
    expect(
      totals([
        position({ unrealizedPnl: "0.1", netPnl: "0.1" }),
        position({ unrealizedPnl: "0.2", netPnl: "-1" }),
        position({ unrealizedPnl: null, netPnl: null, pnlIncomplete: "no price" }),
        position({ unrealizedPnl: "0.00000001", netPnl: "0", pnlCurrency: "BTC" }),
      ]),
    ).toEqual([
      { currency: "BTC", unrealized: "0.00000001", net: "0", unpriced: 0 },
      { currency: "USDT", unrealized: "0.3", net: "-0.9", unpriced: 1 },
    ]);
  });
});

describe("the standing", () => {
  it("names the leg that lost the largest part", () => {
    const worst = worstLeg(
      position({
        legs: [
          leg({ symbol: "XRPUSDT", quantity: "12000", difference: "-100" }),
          leg({ symbol: "BTCUSDT", quantity: "0.5", difference: "-0.4" }),
          leg({ symbol: "ETHUSDT", quantity: "8", difference: "0" }),
        ],
      }),
    );
    expect(worst).toMatchObject({ difference: "-0.4", others: 1, leg: { symbol: "BTCUSDT" } });
  });

  it("claims neither in sync nor altered while it is unverified", () => {
    const doubtful = position({ isAltered: true, verdict: "unverified" });
    expect(showsAltered(doubtful)).toBe(false);
    expect(standingOf(doubtful, undefined)).toBe("unverified");
  });

  it("shows the badge when either the flag or the verdict says so", () => {
    expect(showsAltered(position({ isAltered: true }))).toBe(true);
    expect(showsAltered(position({ verdict: "altered" }))).toBe(true);
    expect(showsAltered(position())).toBe(false);
  });

  it("counts as open what our own fills have not closed", () => {
    expect(openQuantity(leg({ quantity: "0.8", closedQuantity: "0.3" }))).toBe("0.5");
  });

  it("does not pass a leg's own coin off as dollars", () => {
    expect(legCurrency(position({ pnlCurrency: "USD" }), leg())).toBe("");
    expect(legCurrency(position(), leg())).toBe("USDT");
    expect(legCurrency(position({ pnlCurrency: "USD" }), leg({ pnlCurrency: "USDC" }))).toBe("USDC");
  });

  it("says why a close failed, in the daemon's words before its own", () => {
    const close = closeReport({ code: "expired" });
    expect(failureWords({ ...close, detail: "0.2 BTC are left." })).toBe("0.2 BTC are left.");
    expect(failureWords(close)).toContain("too old");
    expect(failureWords({ ...close, code: "some-new-code" })).toBe("some new code");
  });
});

describe("ages", () => {
  it.each([
    [0, "0s"],
    [45, "45s"],
    [60, "1m"],
    [61, "1m 1s"],
    [3_600 * 3 + 60 * 20, "3h 20m"],
    [86_400 * 2, "2d"],
    [86_400 * 2 + 59, "2d"],
    [-5, "0s"],
  ])("tells %i seconds as %s", (seconds, wanted) => {
    expect(age(new Date(NOW - seconds * 1_000).toISOString(), NOW)).toBe(wanted);
  });
});
