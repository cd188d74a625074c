import { afterEach, expect, it, vi } from "vitest";
import { LEDGER } from "../../src/api/ledger";
import { Problem } from "../../src/api/problem";

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
