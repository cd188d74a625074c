// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, it, vi } from "vitest";
import type { Ledger, Recording } from "../../src/api/ledger";
import { Problem } from "../../src/api/problem";
import { AdoptModal } from "../../src/view/AdoptModal";
import { quietLedger } from "../builders";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const held = { category: "linear", symbol: "BTCUSDT", positionIdx: 0, total: "0.9", tracked: "0.5", unassigned: "0.1", entryPrice: "100.5", price: null };
const tracked = { ...held, symbol: "ETHUSDT", total: "-8", tracked: "-8" };

function adopt(over: Partial<Ledger> = {}) {
  let ended = 0;
  const holdings = async () => ({ holdings: [held, tracked], readAt: "2026-03-01T12:00:00Z", incomplete: null });
  const ledger = quietLedger({ holdings, ...over });
  const accounts = new Map([["a1", "main"], ["a2", "other"]]);
  render(<AdoptModal accounts={accounts} ledger={ledger} onEnd={() => (ended += 1)} />);
  return { ended: () => ended };
}

const submit = () => {
  const form = screen.getByTestId("adopt-modal").querySelector("form");
  if (form === null) throw new Error("no form");
  fireEvent.submit(form);
};

it("offers what no position tracks, and records what was picked of it", async () => {
  const recorded: Recording[] = [];
  let tries = 0;
  const dialog = adopt({
    record: async (recording) => {
      recorded.push(recording);
      tries += 1;
      if (tries === 1) throw new Problem(422, "quantity-off-step", "BTCUSDT trades in steps of 0.001.");
    },
  });
  await waitFor(() => expect(screen.getAllByTestId("holding")).toHaveLength(1));
  fireEvent.input(screen.getByLabelText("Name"), { target: { value: "Adopted" } });
  submit();
  await waitFor(() => expect(screen.getByTestId("adopt-fault").textContent).toContain("Pick at least one leg."));
  fireEvent.click(within(screen.getByTestId("holding")).getByRole("checkbox"));
  fireEvent.input(screen.getByLabelText("Quantity"), { target: { value: "0.3" } });
  submit();
  await waitFor(() => expect(screen.getByTestId("adopt-fault").textContent).toContain("steps of 0.001"));
  submit();
  await waitFor(() => expect(dialog.ended()).toBe(1));
  const legs = [{ category: "linear", symbol: "BTCUSDT", side: "Buy", quantity: "0.3", entryPrice: "100.5" }];
  expect(recorded[1]).toMatchObject({ accountId: "a1", name: "Adopted", legs });
  // A second try is the same recording to the daemon, should the first have arrived after all.
  expect(recorded[0]?.externalId).toBe(recorded[1]?.externalId);
});

it("opens over plain http from another machine, where browsers have no randomUUID", async () => {
  vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
  const recorded: Recording[] = [];
  for (let dialogs = 0; dialogs < 2; dialogs += 1) {
    adopt({ record: async (recording) => void recorded.push(recording) });
    fireEvent.click(within(await screen.findByTestId("holding")).getByRole("checkbox"));
    submit();
    await waitFor(() => expect(recorded).toHaveLength(dialogs + 1));
    cleanup();
  }
  const ids = recorded.map((recording) => recording.externalId);
  for (const id of ids) expect(id).toMatch(/^dashboard-[0-9a-f]{32}$/);
  expect(new Set(ids).size).toBe(2);
});

it("sends no leg that cannot be meant", async () => {
  const recorded: Recording[] = [];
  adopt({ record: async (recording) => void recorded.push(recording) });
  await waitFor(() => expect(screen.getAllByTestId("holding")).toHaveLength(1));
  fireEvent.click(within(screen.getByTestId("holding")).getByRole("checkbox"));
  fireEvent.input(screen.getByLabelText("Quantity"), { target: { value: "0.5" } });
  submit();
  await waitFor(() => expect(screen.getByTestId("adopt-fault").textContent).toContain("only 0.4 can be recorded"));
  expect(recorded).toEqual([]);
});

it("reads the other account when it is chosen, and forgets what was picked of the first", async () => {
  const read: string[] = [];
  adopt({
    holdings: async (account) => {
      read.push(account);
      if (account === "a2") throw new Problem(503, "exchange-unreachable", "Bybit does not answer.");
      return { holdings: [held], readAt: "2026-03-01T12:00:00Z", incomplete: "spot: no answer" };
    },
  });
  await waitFor(() => expect(screen.getByText(/Not everything could be read: spot: no answer/)).not.toBeNull());
  fireEvent.change(screen.getByLabelText("Account"), { target: { value: "a2" } });
  await waitFor(() => expect(screen.getByText(/could not be read: Bybit does not answer/)).not.toBeNull());
  expect(read).toEqual(["a1", "a2"]);
});
