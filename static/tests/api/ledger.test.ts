import { afterEach, describe, expect, it, vi } from "vitest";
import { postClose } from "../../src/api/closes";
import { LEDGER } from "../../src/api/ledger";
import { Problem } from "../../src/api/problem";
import { WHOLE } from "../../src/model/closePlan";

afterEach(() => vi.unstubAllGlobals());

function answering(status: number, body: unknown) {
  const asked: { method: string; url: string; body: unknown }[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    asked.push({ method: init.method ?? "", url, body: init.body === undefined ? null : JSON.parse(String(init.body)) });
    return new Response(JSON.stringify(body), { status });
  });
  return asked;
}

const deviation = {
  id: 1,
  category: "linear",
  symbol: "BTCUSDT",
  position_idx: 0,
  kind: "missing",
  expected: "0.5",
  actual: "0.1",
  difference: "-0.4",
  first_seen: "2026-03-01T11:58:00Z",
  last_verified: "2026-03-01T11:59:30Z",
  ended_at: null,
  resolution: null,
  cause: "By hand.",
  while_away: true,
};

it("asks for a position's past and its line", async () => {
  const asked = answering(200, { deviations: [deviation], events: [{ id: 1, at: "t", kind: "altered", actor: null, data: {} }] });
  expect(await LEDGER.past("p/1")).toMatchObject({ deviations: [{ cause: "By hand.", whileAway: true }], events: [{ kind: "altered" }] });
  expect(asked).toEqual([{ method: "GET", url: "/api/positions/p%2F1", body: null }]);
  answering(200, { pnl: [{ at: "t", unrealized_pnl: "1.5", net_pnl: null, currency: "USDT" }] });
  expect(await LEDGER.pnl("p1")).toEqual([{ at: "t", unrealized: "1.5", net: null, currency: "USDT" }]);
});

it("sends what a person decided, as the daemon spells it", async () => {
  const asked = answering(200, {});
  await LEDGER.resolve("p1", "mark_closed", "leg-1");
  await LEDGER.edit("p1", { name: "n", note: "", tags: [] });
  await LEDGER.recheck("a1");
  const leg = { category: "linear", symbol: "BTCUSDT", side: "Sell", quantity: "8", entryPrice: "1" } as const;
  await LEDGER.record({ accountId: "a1", name: "n", externalId: "x", legs: [leg] });
  expect(asked).toEqual([
    { method: "POST", url: "/api/positions/p1/resolve", body: { action: "mark_closed", component_id: "leg-1" } },
    { method: "PATCH", url: "/api/positions/p1", body: { name: "n", note: "", tags: [] } },
    { method: "POST", url: "/api/accounts/a1/reconcile", body: {} },
    {
      method: "POST",
      url: "/api/positions",
      body: {
        account_id: "a1",
        name: "n",
        external_id: "x",
        components: [{ category: "linear", symbol: "BTCUSDT", side: "Sell", quantity: "8", entry_price: "1" }],
      },
    },
  ]);
});

it("reads holdings, and gives a refusal as the problem that it is", async () => {
  const row = { category: "spot", symbol: "BTC", position_idx: 0, total: "1", tracked: "0", unassigned: "0", free: "1", entry_price: null, price: "9" };
  answering(200, { holdings: [row], read_at: "t", incomplete: null });
  expect((await LEDGER.holdings("a1")).holdings[0]).toMatchObject({ symbol: "BTC", entryPrice: null, price: "9" });
  answering(409, { detail: "A close is open.", code: "close-open" });
  await expect(LEDGER.resolve("p1", "accept", "l")).rejects.toEqual(new Problem(409, "close-open", "A close is open."));
});

it("asks for the plan of a part or of the whole, and reads it", async () => {
  const leg = {
    component_id: "leg-1", category: "linear", symbol: "BTCUSDT", side: "Buy", open: "0.5", quantity: "0.2", shortfall: "0", dust: "0.05",
    estimated_price: "9.5", estimated_fee: null, fee_coin: null,
    blockers: [{ code: "shortfall-unattributed", detail: "Whose?", resolve: ["rebase", "some_day"] }],
    resting_orders: [{ order_id: "o1", side: "Sell", quantity: "1", price: null, type: "Stop" }],
  };
  const asked = answering(200, { plan_id: "x", expires_at: "t", fraction: "0.5", legs: [leg], can_close: false });
  expect(await LEDGER.closePlan("p/1", "0.5")).toEqual({
    planId: "x",
    expiresAt: "t",
    fraction: "0.5",
    legs: [
      {
        componentId: "leg-1", quantity: "0.2", shortfall: "0", dust: "0.05", price: "9.5", fee: null, feeCoin: null,
        blockers: [{ code: "shortfall-unattributed", detail: "Whose?", resolve: ["rebase"] }],
        resting: [{ orderId: "o1", side: "Sell", quantity: "1", price: null, type: "Stop" }],
      },
    ],
  });
  await LEDGER.closePlan("p1", null);
  expect(asked.map(({ url }) => url)).toEqual(["/api/positions/p%2F1/close-plan?fraction=0.5", "/api/positions/p1/close-plan"]);
});

it("hurries a close and gives one up", async () => {
  const asked = answering(200, {});
  await LEDGER.recheckClose("c1");
  await LEDGER.cancelClose("c1");
  expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual(["POST /api/closes/c1/recheck", "DELETE /api/closes/c1"]);
});

describe("a close", () => {
  it("says only what was chosen, and is one position's own", async () => {
    const asked = answering(202, { close_id: "c1", position_id: "p1", status: "CLOSING" });
    expect(await postClose(["p1"], "k", WHOLE)).toEqual(new Map([["p1", "c1"]]));
    await postClose(["p1"], "k", { fraction: "0.5", slippage: "1", cancelResting: true, expectedPlan: "x" });
    expect(asked).toEqual([
      { method: "POST", url: "/api/positions/p1/close", body: {} },
      { method: "POST", url: "/api/positions/p1/close", body: { fraction: "0.5", slippage: "1", cancel_resting: true, expected_plan: "x" } },
    ]);
  });

  it("of several is one request, and its answer is of each of them", async () => {
    const closes = [{ close_id: "c2", position_id: "p2", status: "CLOSING" }, { close_id: "c1", position_id: "p1", status: "CLOSING" }];
    const asked = answering(202, { set_id: "s", closes });
    expect(await postClose(["p1", "p2"], "k", WHOLE)).toEqual(new Map([["p1", "c1"], ["p2", "c2"]]));
    expect(asked).toEqual([{ method: "POST", url: "/api/positions/close", body: { position_ids: ["p1", "p2"] } }]);
    await expect(postClose(["p1", "p3"], "k", WHOLE)).rejects.toThrow(/one of each position/);
  });
});
