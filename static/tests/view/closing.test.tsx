// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, describe, expect, it } from "vitest";
import type { Ledger } from "../../src/api/ledger";
import { Unanswered } from "../../src/api/problem";
import { EMPTY_BOOK, reduce, type Book, type BookEvent } from "../../src/model/book";
import { WHOLE, type ClosePlan, type CloseTerms } from "../../src/model/closePlan";
import type { Position } from "../../src/model/position";
import { PositionsPanel } from "../../src/view/PositionsPanel";
import { altered, closeReport, leg, memoryStorage, NOW, plan, planned, position, quietLedger } from "../builders";

afterEach(cleanup);

function bookOf(positions: readonly Position[], ...events: BookEvent[]): Book {
  return [{ kind: "snapshot", seq: 1, positions } as const, ...events].reduce(reduce, EMPTY_BOOK);
}

interface Sent {
  readonly ids: readonly string[];
  readonly terms: CloseTerms;
}

function panel(book: Book, over: Partial<Ledger> = {}) {
  const sent: Sent[] = [];
  const desk = {
    labels: new Map<string, string>(),
    close: (ids: readonly string[], terms: CloseTerms) => void sent.push({ ids, terms }),
    dispatch: () => undefined,
  };
  const ledger = quietLedger(over);
  const storage = memoryStorage();
  const draw = (next: Book, now = NOW) => <PositionsPanel desk={desk} book={next} now={now} storage={storage} ledger={ledger} />;
  const view = render(draw(book));
  return { sent, redraw: (next: Book, now = NOW) => view.rerender(draw(next, now)) };
}

/** A daemon that gives these plans in turn, and remembers what it was asked for. */
function planner(...plans: (ClosePlan | Error)[]) {
  const asked: (string | null)[] = [];
  const closePlan = (_: string, fraction: string | null) => {
    asked.push(fraction);
    const next = plans.shift() ?? new Unanswered("The daemon cannot be reached.");
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  return { asked, closePlan };
}

const row = (id = "p1") => {
  const found = screen.getAllByTestId("position-row").find((each) => each.dataset["positionId"] === id);
  if (found === undefined) throw new Error(`no row ${id}`);
  return found;
};
const open = (id = "p1") => fireEvent.click(within(row(id)).getByTestId("close-button"));
const confirm = () => screen.getByTestId<HTMLButtonElement>("confirm-close");
const lines = () => screen.getAllByTestId("close-order").map((line) => line.textContent);
const planShown = (id = "plan-1") => waitFor(() => expect(screen.getByTestId("plan-state").dataset["plan"]).toBe(id));

const shorts = position({
  legs: [leg({ side: "Sell", symbol: "ETHUSDT", quantity: "8" }), leg({ id: "leg-2", quantity: "0.5" })],
});

describe("asking before a close", () => {
  it("names each order with its reverse side, and sends nothing by itself", () => {
    const { sent } = panel(bookOf([shorts]));
    open();
    const modal = screen.getByTestId("close-modal");
    expect(modal.getAttribute("role")).toBe("dialog");
    expect(modal.getAttribute("aria-modal")).toBe("true");
    expect(lines()).toEqual(["Buy8ETHUSDTreduce-only market", "Sell0.5BTCUSDTreduce-only market"]);
    expect(confirm().disabled).toBe(true);
    expect(sent).toEqual([]);
  });

  it("focuses the way back, so that a stray Enter closes nothing", () => {
    panel(bookOf([shorts]));
    open();
    expect(document.activeElement).toBe(screen.getByTestId("cancel-close"));
  });

  it("keeps Tab inside", async () => {
    panel(bookOf([shorts]), planner(plan(planned())));
    open();
    await planShown();
    const first = screen.getByTestId("fraction-0.25");
    confirm().focus();
    fireEvent.keyDown(confirm(), { key: "Tab" });
    expect(document.activeElement).toBe(first);
    fireEvent.keyDown(first, { key: "Tab", shiftKey: true });
    expect(document.activeElement).toBe(confirm());
  });

  it("is given up by Escape and by the button, and the focus returns", () => {
    const { sent } = panel(bookOf([shorts]));
    const button = within(row()).getByTestId("close-button");
    button.focus();
    open();
    fireEvent.keyDown(screen.getByTestId("close-modal"), { key: "Escape" });
    expect(screen.queryByTestId("close-modal")).toBeNull();
    expect(document.activeElement).toBe(button);
    open();
    fireEvent.click(screen.getByTestId("cancel-close"));
    expect(screen.queryByTestId("close-modal")).toBeNull();
    expect(sent).toEqual([]);
  });

  it("goes out once on confirmation, for the plan that was shown", async () => {
    const { sent, redraw } = panel(bookOf([shorts]), planner(plan(planned())));
    open();
    await planShown();
    fireEvent.click(confirm());
    expect(sent).toEqual([{ ids: ["p1"], terms: { ...WHOLE, expectedPlan: "plan-1" } }]);
    expect(screen.queryByTestId("close-modal")).toBeNull();
    redraw(bookOf([shorts], { kind: "close-asked", id: "p1" }));
    expect(within(row()).getByTestId<HTMLButtonElement>("close-button").disabled).toBe(true);
    expect(row().dataset["status"]).toBe("CLOSING");
    expect(row().textContent).toContain("Closing…");
  });

  it("cannot be confirmed when somebody else was faster", async () => {
    const { redraw } = panel(bookOf([shorts]), planner(plan(planned())));
    open();
    await planShown();
    redraw(bookOf([{ ...shorts, status: "CLOSING" }]));
    expect(confirm().disabled).toBe(true);
    redraw(bookOf([]));
    expect(screen.queryByTestId("close-modal")).toBeNull();
  });

  it("names no reduce-only order for spot, and none for a leg that is closed already", () => {
    panel(bookOf([position({ legs: [leg({ category: "spot" }), leg({ id: "l2", closedQuantity: "0.5" })] })]));
    open();
    expect(lines()[0]).toContain("spot market");
    expect(lines()[1]).toContain("closed already");
  });
});

describe("the preview of a close", () => {
  it("shows what goes out after rounding, its price and fee, what is missing and what is too small", async () => {
    const legs = [planned({ quantity: "0.4", shortfall: "0.0995", dust: "0.0005" })];
    panel(bookOf([position()]), planner(plan(...legs)));
    open();
    await planShown();
    expect(lines()).toEqual([
      "Sell0.4BTCUSDTreduce-only marketAt about 101,250.5 · fee about 27.84 USDT" +
        "0.0995 less than recorded is there on Bybit.0.0005 is too small to be traded and stays on Bybit as your own.",
    ]);
  });

  it("says where nothing goes out for a leg, and where no price can be told", async () => {
    const legs = [planned({ quantity: "0", dust: "0.5", price: null, fee: null }), planned({ componentId: "leg-2", price: null })];
    panel(bookOf([position({ legs: [leg(), leg({ id: "leg-2", symbol: "XRPUSDT" })] })]), planner(plan(...legs)));
    open();
    await planShown();
    expect(lines()[0]).toContain("BTCUSDTno order0.5 is too small");
    expect(lines()[1]).toContain("the order book is too thin");
    expect(confirm().disabled).toBe(false);
  });

  it("is of the chosen part: an older one of another part is never agreed to", async () => {
    const half = { ...plan(planned({ quantity: "0.25" })), planId: "plan-2", fraction: "0.5" };
    const { asked, closePlan } = planner(plan(planned()), half);
    const { sent } = panel(bookOf([position()]), { closePlan });
    open();
    await planShown();
    fireEvent.click(screen.getByTestId("fraction-0.5"));
    expect(confirm().disabled).toBe(true);
    expect(lines()[0]).toContain("Sell…BTCUSDT");
    await planShown("plan-2");
    expect(screen.getByTestId("fraction-0.5").getAttribute("aria-pressed")).toBe("true");
    expect(confirm().textContent).toBe("Close 50 %");
    fireEvent.input(screen.getByTestId("slippage"), { target: { value: "0.5" } });
    fireEvent.click(confirm());
    expect(asked).toEqual([null, "0.5"]);
    expect(sent).toEqual([{ ids: ["p1"], terms: { fraction: "0.5", slippage: "0.5", cancelResting: false, expectedPlan: "plan-2" } }]);
  });

  it("is read anew before it grows too old, once", async () => {
    const { asked, closePlan } = planner(plan(planned()), { ...plan(planned()), planId: "plan-2", expiresAt: "2026-03-01T12:01:50Z" });
    const { redraw } = panel(bookOf([position()]), { closePlan });
    open();
    await planShown();
    redraw(bookOf([position()]), NOW + 49_000);
    expect(asked).toHaveLength(1);
    redraw(bookOf([position()]), NOW + 51_000);
    redraw(bookOf([position()]), NOW + 52_000);
    await planShown("plan-2");
    expect(asked).toHaveLength(2);
  });

  it("that expired cannot be agreed to, and what cannot be read keeps nobody in a position", async () => {
    const { sent, redraw } = panel(bookOf([position()]), planner(plan(planned())));
    open();
    await planShown();
    redraw(bookOf([position()]), NOW + 61_000);
    await waitFor(() => expect(screen.getByTestId("plan-fault").textContent).toContain("cannot be reached"));
    expect(screen.getByTestId("plan-state").dataset["plan"]).toBeUndefined();
    expect(confirm().textContent).toBe("Close position without a preview");
    fireEvent.click(confirm());
    expect(sent).toEqual([{ ids: ["p1"], terms: WHOLE }]);
  });

  it("names what stands in the way with what would lift it, in place, and looks again after that", async () => {
    const blocker = { code: "shortfall-unattributed", detail: "Whose is it?", resolve: ["rebase"] as const };
    const { asked, closePlan } = planner(plan(planned({ blockers: [blocker] })), { ...plan(planned({ quantity: "0.1" })), planId: "plan-2" });
    const resolved: unknown[] = [];
    panel(bookOf([altered()]), { closePlan, resolve: async (...each) => void resolved.push(each) });
    open();
    await planShown();
    expect(screen.getByTestId("blocker").textContent).toContain("Whose is it?");
    expect(confirm().disabled).toBe(true);
    expect(confirm().textContent).toBe("Something is in the way");
    fireEvent.click(screen.getByTestId("lift-rebase"));
    fireEvent.keyDown(screen.getByTestId("resolve-modal"), { key: "Escape" });
    expect(screen.getByTestId("close-modal")).not.toBeNull();
    await waitFor(() => expect(asked).toHaveLength(2));
    fireEvent.click(screen.getByTestId("look-again"));
    expect(resolved).toEqual([]);
  });

  it("lifts the blocker by resolving and shows the plan after it", async () => {
    const blocker = { code: "shortfall-unattributed", detail: "Whose is it?", resolve: ["rebase"] as const };
    const { closePlan } = planner(plan(planned({ blockers: [blocker] })), { ...plan(planned({ quantity: "0.1" })), planId: "plan-2" });
    const resolved: unknown[] = [];
    panel(bookOf([altered()]), { closePlan, resolve: async (...each) => void resolved.push(each) });
    open();
    await planShown();
    fireEvent.click(screen.getByTestId("lift-rebase"));
    fireEvent.click(screen.getByTestId("confirm-resolve"));
    await planShown("plan-2");
    expect(resolved).toEqual([["p1", "rebase", "leg-1"]]);
    expect(screen.queryByTestId("blocker")).toBeNull();
    expect(confirm().disabled).toBe(false);
  });

  it("goes ahead over resting orders only with leave to cancel them", async () => {
    const resting = [{ orderId: "o1", side: "Sell" as const, quantity: "0.2", price: "120000", type: "Limit" }];
    const blockers = [{ code: "resting-orders", detail: "An order of yours is in the way.", resolve: [] }];
    const { sent } = panel(bookOf([position()]), planner(plan(planned({ resting, blockers }))));
    open();
    await planShown();
    expect(screen.getByTestId("resting-order").textContent).toBe("Resting: Sell 0.2 at 120,000, Limit");
    expect(confirm().disabled).toBe(true);
    fireEvent.click(screen.getByTestId("cancel-resting"));
    fireEvent.click(confirm());
    expect(sent[0]?.terms.cancelResting).toBe(true);
  });

  it("refuses a slippage that the daemon would refuse", async () => {
    const { sent } = panel(bookOf([position()]), planner(plan(planned())));
    open();
    await planShown();
    fireEvent.input(screen.getByTestId("slippage"), { target: { value: "11" } });
    expect(confirm().disabled).toBe(true);
    expect(screen.getByTestId("slippage-fault").textContent).toContain("0.01 to 10");
    fireEvent.input(screen.getByTestId("slippage"), { target: { value: "" } });
    fireEvent.click(confirm());
    expect(sent[0]?.terms.slippage).toBeNull();
  });
});

describe("closing several together", () => {
  const three = [
    position({ id: "a", name: "Alpha" }),
    position({ id: "b", name: "Bravo", legs: [leg({ side: "Sell", quantity: "8", symbol: "ETHUSDT" })] }),
    position({ id: "c", name: "Carol", accountId: "a2" }),
  ];
  const tick = (id: string) => fireEvent.click(within(row(id)).getByTestId("select"));
  const together = () => screen.getByTestId<HTMLButtonElement>("close-together");

  it("asks once for all that are ticked, and sends one request", () => {
    const { sent } = panel(bookOf(three));
    expect(screen.queryByTestId("selection")).toBeNull();
    tick("a");
    expect(together().disabled).toBe(true);
    tick("b");
    expect(screen.getByTestId("selection").textContent).toContain("2 selected");
    fireEvent.click(together());
    expect(document.activeElement).toBe(screen.getByTestId("cancel-close-set"));
    const listed = screen.getAllByTestId("close-set-position").map((line) => line.textContent);
    expect(listed).toEqual([expect.stringContaining("Long 0.5 BTCUSDT"), expect.stringContaining("Short 8 ETHUSDT")]);
    expect(sent).toEqual([]);
    fireEvent.click(screen.getByTestId("cancel-resting"));
    fireEvent.click(screen.getByTestId("confirm-close-set"));
    expect(sent).toEqual([{ ids: ["a", "b"], terms: { ...WHOLE, cancelResting: true } }]);
    expect(screen.queryByTestId("close-set-modal")).toBeNull();
    expect(screen.queryByTestId("selection")).toBeNull();
  });

  it("is of one account only, and says so", () => {
    panel(bookOf(three));
    tick("a");
    tick("c");
    expect(together().disabled).toBe(true);
    expect(screen.getByTestId("selection").textContent).toContain("one account");
    fireEvent.click(screen.getByTestId("clear-selection"));
    expect(screen.queryByTestId("selection")).toBeNull();
  });

  it("lets go of what closes meanwhile, and is refused in the dialog where one does", () => {
    const { redraw } = panel(bookOf(three));
    tick("a");
    tick("b");
    fireEvent.click(together());
    const closing = three.map((each) => (each.id === "b" ? { ...each, status: "CLOSING" as const } : each));
    redraw(bookOf(closing));
    expect(screen.getByTestId<HTMLButtonElement>("confirm-close-set").disabled).toBe(true);
    fireEvent.click(screen.getByTestId("cancel-close-set"));
    expect(screen.getByTestId("selection").textContent).toContain("1 selected");
    expect(within(row("b")).getByTestId<HTMLInputElement>("select").disabled).toBe(true);
  });

  it("that nobody answered is asked again as the same request", () => {
    const stalled = ["a", "b"].map((id) => ({ kind: "close-stalled", id, detail: "No answer.", together: ["b", "a"] }) as const);
    const { sent } = panel(bookOf(three, ...stalled));
    open("a");
    fireEvent.click(screen.getByTestId("confirm-close-set"));
    expect(sent).toEqual([{ ids: ["b", "a"], terms: WHOLE }]);
  });

  it("tells each row its own answer", () => {
    const steps = [
      { kind: "close-asked", id: "a" },
      { kind: "close-accepted", id: "a", closeId: "c1" },
      { kind: "close-refused", id: "b", detail: "A close is open there." },
    ] as const;
    panel(bookOf(three, ...steps));
    expect(row("a").dataset["status"]).toBe("CLOSING");
    expect(within(row("b")).getByTestId("close-refused").textContent).toContain("A close is open there.");
  });
});

describe("a running close", () => {
  const running = position({
    status: "CLOSING",
    legs: [leg({ closedQuantity: "0.2" })],
    lastClose: closeReport({
      state: "SETTLING",
      code: null,
      detail: "waiting for Bybit: its outcome is not known",
      targets: [{ componentId: "leg-1", open: "0.5", quantity: "0.5" }],
    }),
  });
  const expand = () => fireEvent.click(screen.getByTestId("expand-button"));

  it("tells its state, what it waits for and how far each leg is, and can be hurried", async () => {
    const rechecked: string[] = [];
    panel(bookOf([running]), { recheckClose: async (id) => void rechecked.push(id) });
    expand();
    expect(screen.getByTestId("running-close").textContent).toContain("Closing: waiting for fills");
    expect(screen.getByTestId("close-waits").textContent).toContain("its outcome is not known");
    expect(screen.getByTestId("close-progress").textContent).toBe("BTCUSDT  0.2 of 0.5");
    expect(screen.getByTestId("close-progress").querySelector("progress")?.value).toBe(0.2);
    expect(screen.queryByTestId("cancel-running-close")).toBeNull();
    expect(screen.queryByTestId("last-close")).toBeNull();
    await act(async () => void fireEvent.click(screen.getByTestId("recheck-close")));
    expect(rechecked).toEqual(["c1"]);
  });

  it("can be cancelled before anything is sent, and says why where it cannot", async () => {
    const waiting = closeReport({ state: "WAITING", code: null, fraction: "0.5", isOfSet: true });
    panel(bookOf([{ ...running, lastClose: waiting }]), { cancelClose: () => Promise.reject(new Unanswered("No answer.")) });
    expand();
    expect(screen.getByTestId("running-close").textContent).toContain("Closing 50 % together with others: waiting its turn");
    const cancel = screen.getByTestId("cancel-running-close");
    expect(cancel.textContent).toBe("Cancel all of them");
    fireEvent.click(cancel);
    await waitFor(() => expect(screen.getByTestId("running-close-fault").textContent).toContain("No answer."));
  });

  it("is told as the last one once it has ended, with its part", () => {
    panel(bookOf([position({ lastClose: closeReport({ state: "DONE", code: null, fraction: "0.25" }) })]));
    expand();
    expect(screen.queryByTestId("running-close")).toBeNull();
    expect(screen.getByTestId("last-close").textContent).toContain("Last close of 25 %: done");
  });
});
