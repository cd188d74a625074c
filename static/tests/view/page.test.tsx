// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, describe, expect, it } from "vitest";
import { Desk, type DeskEdges } from "../../src/api/desk";
import { Problem } from "../../src/api/problem";
import { WHOLE } from "../../src/model/closePlan";
import type { Source } from "../../src/api/stream";
import { FeedStrip } from "../../src/view/FeedStrip";
import { SignIn } from "../../src/view/SignIn";
import { memoryStorage, NOW, wirePosition } from "../builders";

afterEach(cleanup);

describe("signing in", () => {
  const form = () => screen.getByTestId<HTMLFormElement>("sign-in-form");

  it("is ready to be typed into, also after a sign-out", () => {
    render(<SignIn remark={null} onSignedIn={async () => undefined} />);
    expect(document.activeElement).toBe(screen.getByLabelText("User name"));
  });

  it("shows what the daemon says in place, and lets one try again", async () => {
    const tries: string[][] = [];
    let entered = 0;
    render(
      <SignIn
        remark={null}
        onSignedIn={async () => void (entered += 1)}
        submit={async (...credentials) => {
          tries.push(credentials);
          if (tries.length === 1) throw new Problem(401, "bad-credentials", "The password is wrong.");
        }}
      />,
    );
    fireEvent.input(screen.getByLabelText("User name"), { target: { value: "trader" } });
    fireEvent.input(screen.getByLabelText("Password"), { target: { value: "guess" } });
    fireEvent.submit(form());
    await waitFor(() => expect(screen.getByTestId("sign-in-fault").textContent).toContain("The password is wrong."));
    expect(entered).toBe(0);
    fireEvent.submit(form());
    await waitFor(() => expect(entered).toBe(1));
    expect(tries).toEqual([["trader", "guess"], ["trader", "guess"]]);
  });
});

describe("the feed strip", () => {
  const feed = { public: "live", private: "stale", lastSweepAt: "2026-03-01T11:58:00Z", tradingPaused: false };
  const health = (name: string) => document.querySelector<HTMLElement>(`[data-feed=${name}]`)?.dataset["health"];

  it("tells each feed and the age of the last full compare", () => {
    render(<FeedStrip feed={feed} isConnected={true} now={NOW} />);
    expect([health("page"), health("prices"), health("account"), health("reconciled")]).toEqual(["good", "good", "doubtful", "good"]);
    expect(screen.getByTestId("feed-strip").textContent).toContain("2m ago");
  });

  it("claims nothing of the feeds while the page hears nothing", () => {
    render(<FeedStrip feed={feed} isConnected={false} now={NOW} />);
    expect([health("page"), health("prices")]).toEqual(["bad", "doubtful"]);
  });

  it("warns when two full compares were missed", () => {
    render(<FeedStrip feed={feed} isConnected={true} now={NOW + 10 * 60_000} />);
    expect(health("reconciled")).toBe("bad");
  });
});

describe("the desk", () => {
  function desk() {
    const paints: (() => void)[] = [];
    const listeners: Map<string, (event: MessageEvent<string>) => void>[] = [];
    const edges: DeskEdges = {
      storage: memoryStorage(),
      openStream: (): Source => {
        const own = new Map<string, (event: MessageEvent<string>) => void>();
        listeners.push(own);
        return { readyState: 1, addEventListener: (kind, listener) => void own.set(kind, listener), close: () => undefined };
      },
      post: (ids) => Promise.resolve(new Map(ids.map((id) => [id, "c1"]))),
      labels: () => Promise.resolve(new Map()),
      beforePaint: (task) => void paints.push(task),
    };
    const made = new Desk("u1", edges, () => undefined);
    const say = (kind: string, data: unknown) =>
      listeners.at(-1)?.get(kind)?.({ data: JSON.stringify(data) } as MessageEvent<string>);
    return { made, say, paints, listeners };
  }

  it("draws once per frame, however many deltas came", () => {
    const { made, say, paints } = desk();
    let drawn = 0;
    made.watch(() => (drawn += 1));
    made.start();
    say("snapshot", { seq: 1, positions: [wirePosition()] });
    for (let seq = 2; seq <= 40; seq += 1) say("positions", { seq, changes: [{ id: "p1", unrealized_pnl: String(seq) }] });
    expect(paints).toHaveLength(1);
    paints[0]?.();
    expect(drawn).toBe(1);
    expect(made.book.positions.get("p1")?.unrealizedPnl).toBe("40");
    made.stop();
  });

  it("opens the stream anew after a gap and is whole again with the snapshot", async () => {
    const { made, say, listeners } = desk();
    made.start();
    say("snapshot", { seq: 1, positions: [wirePosition()] });
    say("positions", { seq: 5, changes: [] });
    expect(made.book.gap).toBe(true);
    await waitFor(() => expect(listeners).toHaveLength(2), { timeout: 2_000 });
    say("snapshot", { seq: 6, positions: [wirePosition({ unrealized_pnl: "9" })] });
    expect(made.book.gap).toBe(false);
    expect(made.book.positions.get("p1")?.unrealizedPnl).toBe("9");
    made.stop();
  });

  it("carries a close from the confirmation to its acceptance", async () => {
    const { made, say } = desk();
    made.start();
    say("snapshot", { seq: 1, positions: [wirePosition()] });
    const drawn: (string | undefined)[] = [];
    made.watch(() => drawn.push(made.book.pending.get("p1")?.phase));
    made.close(["p1"], WHOLE);
    expect(drawn).toEqual(["asking"]);
    expect(made.book.pending.get("p1")?.phase).toBe("asking");
    await waitFor(() => expect(made.book.pending.get("p1")).toMatchObject({ phase: "accepted", closeId: "c1" }));
    say("positions", { seq: 2, changes: [{ id: "p1", status: "CLOSING" }] });
    expect(made.book.pending.size).toBe(0);
    made.stop();
  });
});
