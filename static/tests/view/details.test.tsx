// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, describe, expect, it } from "vitest";
import type { Ledger } from "../../src/api/ledger";
import { Problem, Unanswered } from "../../src/api/problem";
import type { Position } from "../../src/model/position";
import { Details } from "../../src/view/Details";
import { altered, deviation, leg, NOW, position, quietLedger } from "../builders";

afterEach(cleanup);

function details(shown: Position, over: Partial<Ledger> = {}) {
  const ledger = quietLedger(over);
  const view = render(<Details position={shown} now={NOW} ledger={ledger} />);
  return { redraw: (next: Position, now = NOW) => view.rerender(<Details position={next} now={now} ledger={ledger} />) };
}

const told = (id: string) => screen.getByTestId(id).textContent;

describe("a deviation", () => {
  it("tells by how much, why, since when and how fresh that is", () => {
    details(altered());
    expect(told("deviation")).toContain("Long BTCUSDT −0.4 Less than recorded: 0.5 is recorded as open, 0.1 is its part on Bybit.");
    expect(told("deviation-cause")).toBe("Long leg reduced by ADL 11:58:00, 0.4 BTC");
    expect(told("deviation")).toContain("First seen 2m ago · last verified 30s ago");
  });

  it("says the cause in the daemon's own words, once, and that it does not know", () => {
    const cause = "While we were away: Long leg reduced by hand.";
    const { redraw } = details(altered({ deviations: [deviation({ whileAway: true, cause })] }));
    expect(told("deviation-cause")).toBe(cause);
    redraw(altered({ deviations: [] }));
    expect(told("deviation-cause")).toBe("The cause is not known.");
  });

  it("is neither told nor to be resolved on doubt", () => {
    details(altered({ verdict: "unverified", verdictReason: "Bybit does not answer" }));
    expect(screen.queryByTestId("deviation")).toBeNull();
    expect(screen.getByText(/Neither in sync nor altered is claimed: Bybit does not answer/)).not.toBeNull();
  });

  it("leaves a permitted difference to its note in the table", () => {
    details(position({ legs: [leg({ difference: "-0.001", deviates: false, note: "fee of the purchase", recordedQuantity: "0.7" })] }));
    expect(screen.queryByTestId("deviation")).toBeNull();
    expect(told("leg-note")).toBe("fee of the purchase");
    expect(screen.getByTestId("leg-row").querySelector(".deviates")).toBeNull();
    expect(told("leg-row")).toContain("at first 0.7");
  });
});

describe("resolving", () => {
  it("offers only what applies, asks with before and after, and sends it once", async () => {
    const asked: unknown[] = [];
    details(altered(), { resolve: async (...resolved) => void asked.push(resolved) });
    expect(screen.queryByTestId("resolve-accept")).toBeNull();
    expect(screen.queryByTestId("resolve-mark_closed")).toBeNull();
    fireEvent.click(screen.getByTestId("resolve-rebase"));
    const modal = screen.getByTestId("resolve-modal");
    expect(modal.getAttribute("aria-modal")).toBe("true");
    expect(told("resolve-effect")).toBe("Long BTCUSDT, open0.5 → 0.1");
    expect(document.activeElement).toBe(screen.getByTestId("cancel-resolve"));
    expect(asked).toEqual([]);
    fireEvent.click(screen.getByTestId("confirm-resolve"));
    await waitFor(() => expect(screen.queryByTestId("resolve-modal")).toBeNull());
    expect(asked).toEqual([["p1", "rebase", "leg-1"]]);
  });

  it("keeps the dialog with the daemon's refusal in it, and can be tried again", async () => {
    let tries = 0;
    details(altered(), {
      resolve: async () => {
        tries += 1;
        if (tries === 1) throw new Problem(409, "close-open", "A close is open in this bucket.");
      },
    });
    fireEvent.click(screen.getByTestId("resolve-rebase"));
    fireEvent.click(screen.getByTestId("confirm-resolve"));
    await waitFor(() => expect(told("resolve-fault")).toContain("A close is open in this bucket."));
    fireEvent.click(screen.getByTestId("confirm-resolve"));
    await waitFor(() => expect(screen.queryByTestId("resolve-modal")).toBeNull());
    expect(tries).toBe(2);
  });

  it("is given up by Escape, and cannot be confirmed once the deviation is gone", () => {
    const { redraw } = details(altered());
    fireEvent.click(screen.getByTestId("resolve-rebase"));
    fireEvent.keyDown(screen.getByTestId("resolve-modal"), { key: "Escape" });
    expect(screen.queryByTestId("resolve-modal")).toBeNull();
    fireEvent.click(screen.getByTestId("resolve-rebase"));
    const row = altered({ legs: [leg({ actual: "0", difference: "-0.5" })] });
    redraw(row);
    expect(screen.getByTestId<HTMLButtonElement>("confirm-resolve").disabled).toBe(true);
  });
});

describe("the parts of the P&L", () => {
  const parts = () => [...screen.getByTestId("breakdown").querySelectorAll("dd")].map((each) => each.textContent).slice(0, 5);

  it("add up as they stand", () => {
    details(position({ unrealizedPnl: "12.35", realizedPnl: "2", funding: "-0.15", fees: "1.2", netPnl: "13" }));
    expect(parts()).toEqual(["+12.35 USDT", "+2.00 USDT", "−0.15 USDT", "−1.20 USDT", "+13.00 USDT"]);
    expect(screen.queryByTestId("per-coin")).toBeNull();
  });

  it("stand per coin where there are several, and dash with a reason what cannot be valued", () => {
    const booked = [
      { coin: "BTC", fees: "0.0001", funding: "0", realizedPnl: "-0.002" },
      { coin: "USDT", fees: "1", funding: "0.5", realizedPnl: "0" },
    ];
    const reason = "no price of BTC";
    details(position({ booked, fees: null, funding: null, realizedPnl: null, netPnl: null, bookedIncomplete: reason }));
    expect(parts()).toEqual(["+12.35 USDT", ...Array<string>(4).fill(`—${reason}`)]);
    expect(told("per-coin")).toContain("in BTC: realized −0.00200000 BTC, funding 0.00000000 BTC, fees −0.00010000 BTC");
  });
});

describe("the past", () => {
  it("is drawn as a line once there is one, asked for again each minute", async () => {
    const points = [0, 1].map((minute) => ({ at: `2026-03-01T11:0${minute}:00Z`, unrealized: "1", net: `${minute}.5`, currency: "USDT" }));
    let asks = 0;
    const { redraw } = details(position(), { pnl: async () => ((asks += 1), points) });
    await waitFor(() => expect(within(screen.getByTestId("history")).getByRole("img").getAttribute("aria-label")).toBe("From +0.50 USDT to +1.50 USDT, last +1.50 USDT"));
    redraw(position({ unrealizedPnl: "13" }), NOW + 1_000);
    redraw(position({ unrealizedPnl: "14" }), NOW + 60_000);
    await waitFor(() => expect(asks).toBe(2));
  });

  it("says when there is no history yet, and when it could not be read", async () => {
    details(position());
    await waitFor(() => expect(screen.getByTestId("no-history")).not.toBeNull());
    cleanup();
    details(position(), { pnl: () => Promise.reject(new Unanswered("The daemon cannot be reached.")) });
    await waitFor(() => expect(screen.getByText(/could not be read: The daemon cannot be reached/)).not.toBeNull());
  });

  it("lists ended deviations and events, and is read anew when something happened", async () => {
    const ended = deviation({ endedAt: "2026-03-01T11:59:00Z", resolution: "rebase" });
    const event = { id: 4, at: "2026-03-01T11:59:00Z", kind: "resolved", actor: "alice", data: { action: "rebase" } };
    let asks = 0;
    const { redraw } = details(altered(), { past: async () => ((asks += 1), { deviations: [deviation({ id: 2 }), ended], events: [event] }) });
    await waitFor(() => expect(told("events")).toContain("Resolved: rebase · alice"));
    expect(screen.getByTestId("ended-deviations").children).toHaveLength(1);
    expect(told("ended-deviations")).toContain("BTCUSDT: +0.5 expected, +0.1 held. Long leg reduced by ADL");
    expect(told("ended-deviations")).toContain("leg rebased");
    redraw(altered({ unrealizedPnl: "13" }));
    redraw(position());
    await waitFor(() => expect(asks).toBe(2));
  });
});

describe("what a person does for a position", () => {
  it("re-checks its account, and says when that was too soon", async () => {
    const asked: string[] = [];
    details(position(), {
      recheck: async (account) => {
        if (asked.push(account) > 1) throw new Problem(429, "reconciled-just-now", "Compared 3 s ago.");
      },
    });
    fireEvent.click(screen.getByTestId("recheck"));
    await waitFor(() => expect(told("recheck-answer")).toContain("the verdict follows"));
    fireEvent.click(screen.getByTestId("recheck"));
    await waitFor(() => expect(told("recheck-answer")).toBe("Compared 3 s ago."));
    expect(asked).toEqual(["a1", "a1"]);
  });

  it("renames and annotates it", async () => {
    const edits: unknown[] = [];
    details(position({ note: "old", tags: ["basis"] }), { edit: async (...edit) => void edits.push(edit) });
    fireEvent.click(screen.getByTestId("edit"));
    fireEvent.input(screen.getByLabelText("Name"), { target: { value: " Basis " } });
    fireEvent.input(screen.getByLabelText(/Tags/), { target: { value: "basis, , hedge" } });
    const form = screen.getByTestId("edit-modal").querySelector("form");
    if (form === null) throw new Error("no form");
    fireEvent.submit(form);
    await waitFor(() => expect(screen.queryByTestId("edit-modal")).toBeNull());
    expect(edits).toEqual([["p1", { name: "Basis", note: "old", tags: ["basis", "hedge"] }]]);
  });
});
