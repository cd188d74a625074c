import { describe, expect, it } from "vitest";
import { EMPTY_BOOK, isCurrent, reduce, type Book, type BookEvent } from "../../src/model/book";
import { isClosing } from "../../src/model/standing";
import type { Position } from "../../src/model/position";
import { closeReport, leg, position } from "../builders";

const after = (...events: BookEvent[]): Book => events.reduce(reduce, EMPTY_BOOK);
const snapshot = (seq: number, ...positions: Position[]): BookEvent => ({ kind: "snapshot", seq, positions });
const delta = (seq: number, id: string, fields: Partial<Position>): BookEvent => ({
  kind: "positions",
  seq,
  changes: [{ id, removed: false, fields }],
});
const removal = (seq: number, id: string): BookEvent => ({
  kind: "positions",
  seq,
  changes: [{ id, removed: true, fields: {} }],
});
const failed = closeReport();
const closing = (book: Book, id = "p1") => {
  const found = book.positions.get(id);
  return found !== undefined && isClosing(found, book.pending.get(id));
};

describe("the stream", () => {
  it("starts with a snapshot and goes on with changed fields", () => {
    const book = after(snapshot(7, position()), delta(8, "p1", { unrealizedPnl: "13" }));
    expect(book.positions.get("p1")).toEqual(position({ unrealizedPnl: "13" }));
    expect(book.seq).toBe(8);
    expect(isCurrent(book)).toBe(true);
  });

  it("replaces the legs of a change as a whole", () => {
    const legs = [leg({ id: "leg-2", symbol: "ETHUSDT" })];
    expect(after(snapshot(1, position()), delta(2, "p1", { legs })).positions.get("p1")?.legs).toBe(legs);
  });

  it("adds a position that a change brings whole", () => {
    const book = after(snapshot(1), delta(2, "p2", position({ id: "p2", name: "New" })));
    expect(book.positions.get("p2")?.name).toBe("New");
    expect(book.gap).toBe(false);
  });

  it("asks for a new snapshot when a number is missing, and shows nothing newer until then", () => {
    const book = after(snapshot(1, position()), delta(3, "p1", { name: "lost" }), delta(4, "p1", { name: "later" }));
    expect(book.gap).toBe(true);
    expect(isCurrent(book)).toBe(false);
    expect(book.positions.get("p1")?.name).toBe("BTC/ETH pair");
    expect(reduce(book, snapshot(9, position())).gap).toBe(false);
  });

  it("takes a part of an unknown position for a gap", () => {
    expect(after(snapshot(1), delta(2, "p9", { unrealizedPnl: "1" })).gap).toBe(true);
  });

  it("ignores a delta that it has had already", () => {
    const book = after(snapshot(5, position()), delta(4, "p1", { name: "old" }));
    expect(book.positions.get("p1")?.name).toBe("BTC/ETH pair");
    expect(book.seq).toBe(5);
  });

  it("counts every numbered frame, and lets the feed's unnumbered one pass", () => {
    const feed = { public: "live", private: "down", lastSweepAt: null, tradingPaused: false };
    const book = after(
      { kind: "feed", seq: null, feed },
      snapshot(1, position()),
      { kind: "feed", seq: 2, feed },
      delta(3, "p1", { name: "in step" }),
    );
    expect(book.positions.get("p1")?.name).toBe("in step");
    expect(book.feed?.private).toBe("down");
  });

  it("is not current while the stream is lost", () => {
    const book = after(snapshot(1, position()), { kind: "stream-lost" });
    expect(isCurrent(book)).toBe(false);
    expect(isCurrent(reduce(book, { kind: "stream-open" }))).toBe(true);
  });

  it("takes a closed or removed position off the list and says so once", () => {
    const closed = after(snapshot(1, position({ status: "CLOSING" })), removal(2, "p1"));
    expect(closed.positions.size).toBe(0);
    expect(closed.notices.map((notice) => notice.text)).toEqual(["BTC/ETH pair is closed."]);
    expect(after(snapshot(1, position()), delta(2, "p1", { status: "CLOSED" })).positions.size).toBe(0);
    expect(reduce(closed, removal(3, "p1")).notices).toHaveLength(1);
  });

  it("tells of an altered position with the leg and the difference", () => {
    const deviation = { positionId: "p1", verdict: "altered", symbol: "BTCUSDT", difference: "-0.4", cause: "By hand." } as const;
    const book = after(snapshot(1, position()), { kind: "deviation", seq: 2, deviation });
    expect(book.notices[0]).toMatchObject({ tone: "bad", text: "BTC/ETH pair is altered. BTCUSDT −0.4. By hand." });
  });
});

describe("an optimistic close", () => {
  const asked: BookEvent = { kind: "close-asked", id: "p1" };
  const accepted: BookEvent = { kind: "close-accepted", id: "p1", closeId: "c1" };

  it("shows Closing from the confirmation until the daemon's status takes over", () => {
    const book = after(snapshot(1, position()), asked);
    expect(closing(book)).toBe(true);
    expect(closing(reduce(book, accepted))).toBe(true);
    const taken = after(snapshot(1, position()), asked, accepted, delta(2, "p1", { status: "CLOSING" }));
    expect(taken.pending.size).toBe(0);
    expect(closing(taken)).toBe(true);
  });

  it("returns with the failure when the close fails", () => {
    const book = after(
      snapshot(1, position()),
      asked,
      accepted,
      delta(2, "p1", { status: "CLOSING" }),
      delta(3, "p1", { status: "ACTIVE", lastClose: failed }),
    );
    expect(closing(book)).toBe(false);
    expect(book.positions.get("p1")?.lastClose).toEqual(failed);
  });

  it("does not stay Closing when the stream told of the failure before the answer came", () => {
    const book = after(snapshot(1, position()), asked, delta(2, "p1", { lastClose: failed }), accepted);
    expect(closing(book)).toBe(false);
  });

  it("is not ended by an older close's failure", () => {
    const older = { ...failed, closeId: "c0" };
    expect(closing(after(snapshot(1, position({ lastClose: older })), asked, accepted))).toBe(true);
  });

  it("keeps a refusal in the row until it is dismissed", () => {
    const book = after(snapshot(1, position()), asked, { kind: "close-refused", id: "p1", detail: "netted" });
    expect(closing(book)).toBe(false);
    expect(book.pending.get("p1")?.detail).toBe("netted");
    expect(reduce(book, { kind: "close-dismissed", id: "p1" }).pending.size).toBe(0);
  });

  it("tells of a refusal whose row is gone", () => {
    const book = after(snapshot(1), { kind: "close-refused", id: "p1", detail: "It is closed already." });
    expect(book.notices[0]).toMatchObject({ tone: "bad", text: "It is closed already." });
  });

  it("stays Closing while it is unknown whether the request was taken", () => {
    const book = after(snapshot(1, position()), asked, { kind: "close-unanswered", id: "p1", detail: "No answer." });
    expect(closing(book)).toBe(true);
    expect(closing(reduce(book, { kind: "close-stalled", id: "p1", detail: "No answer.", together: ["p1", "p2"] }))).toBe(false);
    // Asked again, it must be the same ones again.
    expect(reduce(book, { kind: "close-stalled", id: "p1", detail: "", together: ["p1", "p2"] }).pending.get("p1")?.together).toEqual(["p1", "p2"]);
  });

  it("survives until the first snapshot after a reload, and ends there if the position is gone", () => {
    expect(after(asked).pending.size).toBe(1);
    expect(after(asked, snapshot(1)).pending.size).toBe(0);
    expect(closing(after(asked, snapshot(1, position())))).toBe(true);
  });

  it("takes the end of a close from the close event itself", () => {
    const book = after(snapshot(1, position()), asked, accepted, { kind: "close", seq: 2, positionId: "p1", report: failed });
    expect(closing(book)).toBe(false);
    expect(book.positions.get("p1")?.lastClose?.code).toBe("residual");
  });
});
