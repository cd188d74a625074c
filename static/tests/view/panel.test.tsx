// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, within } from "@testing-library/preact";
import { afterEach, describe, expect, it } from "vitest";
import type { Storage } from "../../src/api/storage";
import { EMPTY_BOOK, reduce, type Book, type BookEvent } from "../../src/model/book";
import type { Position } from "../../src/model/position";
import { PositionsPanel } from "../../src/view/PositionsPanel";
import { closeReport, deviation, leg, memoryStorage, NOW, position, quietLedger } from "../builders";

const feed = { public: "live", private: "live", lastSweepAt: null, tradingPaused: false };

function bookOf(positions: readonly Position[], ...events: BookEvent[]): Book {
  const start: BookEvent[] = [{ kind: "snapshot", seq: 1, positions }, { kind: "feed", seq: 2, feed }];
  return [...start, ...events].reduce(reduce, EMPTY_BOOK);
}

function panel(book: Book, storage: Storage = memoryStorage()) {
  const events: BookEvent[] = [];
  const desk = {
    labels: new Map<string, string>(),
    close: () => undefined,
    dispatch: (event: BookEvent) => void events.push(event),
  };
  const draw = (next: Book) => <PositionsPanel desk={desk} book={next} now={NOW} storage={storage} ledger={quietLedger()} />;
  const view = render(draw(book));
  return { events, redraw: (next: Book) => view.rerender(draw(next)), leave: view.unmount };
}

const row = (id = "p1") => {
  const found = screen.getAllByTestId("position-row").find((each) => each.dataset["positionId"] === id);
  if (found === undefined) throw new Error(`no row ${id}`);
  return found;
};
const names = () => screen.getAllByTestId("position-row").map((each) => each.dataset["positionId"]);

afterEach(cleanup);

describe("a row", () => {
  it.each([
    ["12.345", "positive", "+12.34 USDT"],
    ["-12.345", "negative", "−12.34 USDT"],
    ["0", "zero", "0.00 USDT"],
  ])("shows a P&L of %s as %s: %s, with the raw value at hand", (amount, sign, text) => {
    panel(bookOf([position({ unrealizedPnl: amount })]));
    const pnl = within(row()).getByTestId("pnl");
    expect(pnl.dataset["sign"]).toBe(sign);
    expect(pnl.classList.contains(sign)).toBe(true);
    expect(pnl.textContent).toBe(text);
    expect(pnl.title).toBe(`${amount} USDT`);
  });

  it("shows an incomplete P&L as a dash with its reason, never as zero", () => {
    panel(bookOf([position({ unrealizedPnl: null, netPnl: null, pnlIncomplete: "no fresh price for XRPUSDT" })]));
    const pnl = within(row()).getByTestId("pnl");
    expect(pnl.dataset["sign"]).toBe("none");
    expect(pnl.textContent).toBe("—no fresh price for XRPUSDT");
    expect(screen.getByTestId("total-incomplete").textContent).toContain("1 without a price");
  });

  it("bears the Altered badge with the difference, in text and shape", () => {
    panel(bookOf([position({ isAltered: true, verdict: "altered", legs: [leg({ difference: "-0.4", actual: "0.1" })] })]));
    const badge = within(row()).getByTestId("altered-badge");
    expect(badge.textContent).toContain("Altered");
    expect(badge.textContent).toContain("BTCUSDT −0.4");
    expect(badge.querySelector("svg")).not.toBeNull();
    expect(row().dataset["verdict"]).toBe("altered");
  });

  it("says In sync only of what was compared and found in order", () => {
    const { redraw } = panel(bookOf([position()]));
    expect(row().querySelector(".badge.open")?.textContent).toContain("In sync");
    expect(row().querySelector(".badge.open svg")).not.toBeNull();
    for (const doubt of [{ isAltered: true, verdict: "altered" }, { verdict: "unverified" }] as const) {
      redraw(bookOf([position(doubt)]));
      expect(row().textContent).not.toContain("In sync");
    }
  });

  it("tells the cause of the worst leg, in the badge's tooltip and beneath it", () => {
    const legs = [leg({ difference: "-0.1" }), leg({ id: "l2", symbol: "ETHUSDT", quantity: "8", difference: "-8" })];
    const deviations = [deviation({ cause: "By hand." }), deviation({ id: 2, symbol: "ETHUSDT", cause: "Reduced by ADL." })];
    const { redraw } = panel(bookOf([position({ isAltered: true, verdict: "altered", legs, deviations })]));
    expect(screen.getByTestId("altered-badge").title).toBe("Reduced by ADL.");
    expect(screen.getByTestId("cause").textContent).toBe("Reduced by ADL.");
    redraw(bookOf([position({ isAltered: true, verdict: "altered", legs })]));
    expect(screen.getByTestId("cause").textContent).toContain("the cause is not known");
  });

  it("shows no net without its parts, and says why; the total says so too", () => {
    panel(bookOf([position({ netPnl: null, fees: null, bookedIncomplete: "no price of BTC" })]));
    expect(within(row()).getByTestId("net-pnl").textContent).toBe("—no price of BTC");
    expect(within(row()).getByTestId("pnl").textContent).toBe("+12.35 USDT");
    expect(screen.getByTestId("total-incomplete")).not.toBeNull();
  });

  it("names each reason of a failed close once", () => {
    const why = "BTCUSDT: Bybit holds +0.7 where +0.9 is recorded";
    const legs = [{ componentId: leg().id, outcome: "rejected", filled: "0", detail: why }];
    const lastClose = closeReport({ code: "shortfall-unattributed", detail: why, legs });
    panel(bookOf([position({ lastClose })]));
    fireEvent.click(within(row()).getByRole("button", { expanded: false }));
    const told = screen.getByTestId("last-close").textContent ?? "";
    expect(told.split("Bybit holds +0.7")).toHaveLength(2);
    expect(told).not.toContain("BTCUSDT BTCUSDT");
  });

  it("has no badge while in sync or unverified", () => {
    panel(bookOf([position({ id: "a" }), position({ id: "b", isAltered: true, verdict: "unverified" })]));
    expect(screen.queryByTestId("altered-badge")).toBeNull();
    expect(row("b").textContent).toContain("Unverified");
  });

  it("tells why the last close failed, and a refusal until it is dismissed", () => {
    const lastClose = closeReport({ detail: "0.2 BTC are left." });
    const { events, redraw } = panel(bookOf([position({ lastClose })]));
    expect(screen.getByTestId("close-failure").textContent).toBe("Close failed: 0.2 BTC are left.");
    redraw(bookOf([position()], { kind: "close-refused", id: "p1", detail: "Netted." }));
    fireEvent.click(within(screen.getByTestId("close-refused")).getByText("Dismiss"));
    expect(events).toEqual([{ kind: "close-dismissed", id: "p1" }]);
  });

  it("opens to its legs and stays open after a reload", () => {
    const storage = memoryStorage();
    const book = bookOf([position({ legs: [leg({ quantity: "0.8", closedQuantity: "0.3", actual: "0.1", difference: "-0.4" })] })]);
    const first = panel(book, storage);
    expect(screen.queryByTestId("leg-row")).toBeNull();
    fireEvent.click(screen.getByTestId("expand-button"));
    const cells = [...screen.getByTestId("leg-row").querySelectorAll("td")].map((cell) => cell.textContent?.trim());
    expect(cells).toEqual(["0.5 of 0.8", "0.1", "−0.4", "101,250.1", "101,274.8 mark", "+12.35 USDT", "2s"]);
    first.leave();
    panel(book, storage);
    expect(screen.getByTestId("leg-row")).not.toBeNull();
  });
});

describe("the panel", () => {
  const three = [
    position({ id: "a", name: "Alpha", unrealizedPnl: "1" }),
    position({ id: "b", name: "Bravo", unrealizedPnl: "3" }),
    position({ id: "c", name: "Carol", unrealizedPnl: "2", pnlCurrency: "USD" }),
  ];
  const header = (column: string) => {
    const found = document.querySelector<HTMLElement>(`[data-sort=${column}]`);
    if (found === null) throw new Error(`no header ${column}`);
    return found;
  };

  it("sorts by a column and remembers it", () => {
    const storage = memoryStorage();
    const first = panel(bookOf(three), storage);
    fireEvent.click(header("pnl"));
    expect(names()).toEqual(["b", "c", "a"]);
    expect(header("pnl").closest("th")?.getAttribute("aria-sort")).toBe("descending");
    first.leave();
    panel(bookOf(three), storage);
    expect(names()).toEqual(["b", "c", "a"]);
  });

  it("does not move a row away under the pointer", () => {
    const { redraw } = panel(bookOf(three));
    fireEvent.click(header("pnl"));
    const table = document.querySelector("table.positions");
    if (table === null) throw new Error("no table");
    fireEvent.pointerEnter(table);
    const jumped = three.map((each) => (each.id === "a" ? { ...each, unrealizedPnl: "99" } : each));
    redraw(bookOf(jumped));
    expect(names()).toEqual(["b", "c", "a"]);
    fireEvent.pointerLeave(table);
    expect(names()).toEqual(["a", "b", "c"]);
  });

  it("filters, and adds up what it shows, each currency by itself", () => {
    panel(bookOf(three));
    const sums = () =>
      screen.getAllByTestId("total-row").map((line) => within(line).getByTestId("total-pnl").textContent);
    expect(sums()).toEqual(["+$2.00", "+4.00 USDT"]);
    fireEvent.input(screen.getByTestId("filter"), { target: { value: "bravo" } });
    expect(names()).toEqual(["b"]);
    expect(sums()).toEqual(["+3.00 USDT"]);
    fireEvent.input(screen.getByTestId("filter"), { target: { value: "nothing like it" } });
    expect(screen.queryAllByTestId("position-row")).toHaveLength(0);
    expect(screen.getByText(/No position matches/)).not.toBeNull();
  });

  it("greys its numbers and says stale when the stream or the prices are lost", () => {
    const { redraw } = panel(bookOf(three));
    expect(screen.queryByTestId("stale")).toBeNull();
    redraw(bookOf(three, { kind: "stream-lost" }));
    expect(screen.getByTestId("stale").textContent).toContain("stale");
    expect(document.querySelector("table.stale")).not.toBeNull();
    redraw(bookOf(three, { kind: "feed", seq: 3, feed: { ...feed, public: "down" } }));
    expect(screen.getByTestId("stale")).not.toBeNull();
  });

  it("explains how a position gets here when there is none", () => {
    panel(bookOf([]));
    expect(screen.getByTestId("empty-state").textContent).toContain("POST /api/positions");
  });
});
