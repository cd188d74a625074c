import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CloseCourier } from "../../src/api/courier";
import { Intents } from "../../src/api/intents";
import { Problem, Unanswered } from "../../src/api/problem";
import { Storage } from "../../src/api/storage";
import { WHOLE, type CloseTerms } from "../../src/model/closePlan";
import type { CloseStep } from "../../src/model/closing";
import { memoryShelf, NOW } from "../builders";

type Answer = string | Error;

/** A page: what it was told, the keys it sent, and the answers it still gets. */
function page(shelf: ReturnType<typeof memoryShelf>, ...answers: Answer[]) {
  const steps: CloseStep[] = [];
  const keys: string[] = [];
  const terms: CloseTerms[] = [];
  let signedOut = 0;
  const courier = new CloseCourier(
    new Intents(new Storage(() => shelf), "u1"),
    (step) => steps.push(step),
    () => (signedOut += 1),
    (positionIds, key, said) => {
      keys.push(key);
      terms.push(said);
      const answer = answers.shift() ?? new Unanswered("silence");
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(new Map(positionIds.map((id, place) => [id, place === 0 ? answer : `${answer}-${place}`])));
    },
  );
  return { courier, steps, keys, terms, kinds: () => steps.map((step) => step.kind), signedOut: () => signedOut };
}

const silence = new Unanswered("The daemon cannot be reached.");

describe("a confirmed close", () => {
  beforeEach(() => void vi.useFakeTimers({ now: NOW }));
  afterEach(() => void vi.useRealTimers());

  it("is sent once and forgotten when the daemon took it", async () => {
    const shelf = memoryShelf();
    const first = page(shelf, "c1");
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(first.steps).toEqual([
      { kind: "close-asked", id: "p1" },
      { kind: "close-accepted", id: "p1", closeId: "c1" },
    ]);
    expect(first.keys).toHaveLength(1);
    expect([...shelf.kept.values()]).toEqual(["{}"]);
  });

  it("is asked again under the same key while nobody answers", async () => {
    const first = page(memoryShelf(), silence, new Problem(503, "", "busy"), "c1");
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(first.kinds()).toEqual(["close-asked", "close-unanswered", "close-unanswered", "close-accepted"]);
    expect(new Set(first.keys).size).toBe(1);
    expect(first.keys).toHaveLength(3);
  });

  it("is not sent twice when it is confirmed twice", async () => {
    const first = page(memoryShelf(), silence, "c1");
    first.courier.ask(["p1"], WHOLE);
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(first.keys).toHaveLength(2);
  });

  it("is sent again by a reload, with the key it had", async () => {
    const shelf = memoryShelf();
    const before = page(shelf, silence);
    before.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    before.courier.stop();
    const reloaded = page(shelf, "c1");
    reloaded.courier.resume();
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.keys).toEqual(before.keys);
    expect(reloaded.kinds()).toEqual(["close-asked", "close-accepted"]);
  });

  it("is put to the person after two minutes, and keeps its key when asked again", async () => {
    const shelf = memoryShelf();
    const before = page(shelf);
    before.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(150_000);
    expect(before.kinds().at(-1)).toBe("close-stalled");
    const sent = before.keys.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(before.keys).toHaveLength(sent);

    const reloaded = page(shelf, "c1");
    reloaded.courier.resume();
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.kinds()).toEqual(["close-stalled"]);
    expect(reloaded.keys).toEqual([]);
    reloaded.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.keys).toEqual([before.keys[0]]);
  });

  it("does not go out by itself when the machine wakes from a night's sleep", async () => {
    const first = page(memoryShelf(), silence, "c1");
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    vi.setSystemTime(NOW + 8 * 3_600_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(first.keys).toHaveLength(1);
    expect(first.kinds().at(-1)).toBe("close-stalled");
  });

  it("gets a new key after a refusal, which it shows", async () => {
    const first = page(memoryShelf(), new Problem(409, "netted", "Netted."), "c2");
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    expect(first.steps.at(-1)).toEqual({ kind: "close-refused", id: "p1", detail: "Netted." });
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    expect(new Set(first.keys).size).toBe(2);
  });

  it("waits for a new sign-in where the session has ended", async () => {
    const shelf = memoryShelf();
    const first = page(shelf, new Problem(401, "unauthenticated", "You are not signed in."));
    first.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(first.signedOut()).toBe(1);
    expect(first.keys).toHaveLength(1);
    expect(new Intents(new Storage(() => shelf), "u1").all().length).toBe(1);
    expect(new Intents(new Storage(() => shelf), "somebody else").all().length).toBe(0);
  });

  it("goes out for several under one key, and each row hears of it", async () => {
    const shelf = memoryShelf();
    const first = page(shelf, silence, "c1");
    first.courier.ask(["p1", "p2"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    first.courier.ask(["p2"], WHOLE);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(first.keys).toHaveLength(2);
    expect(new Set(first.keys).size).toBe(1);
    expect(first.steps.slice(-2)).toEqual([
      { kind: "close-accepted", id: "p1", closeId: "c1" },
      { kind: "close-accepted", id: "p2", closeId: "c1-1" },
    ]);
    expect([...shelf.kept.values()]).toEqual(["{}"]);
  });

  it("of several is the same one after a reload, whichever came first", async () => {
    const shelf = memoryShelf();
    const before = page(shelf);
    before.courier.ask(["p1", "p2"], WHOLE);
    await vi.advanceTimersByTimeAsync(150_000);
    expect(before.steps.at(-1)).toMatchObject({ kind: "close-stalled", id: "p2", together: ["p1", "p2"] });
    const reloaded = page(shelf, "c1");
    reloaded.courier.resume();
    reloaded.courier.ask(["p2", "p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.keys).toEqual([before.keys[0]]);
  });

  const planned = (expectedPlan: string): CloseTerms => ({ fraction: "0.5", slippage: "1", cancelResting: true, expectedPlan });

  it("keeps its very terms with its key, through a reload and a newer preview", async () => {
    const shelf = memoryShelf();
    const before = page(shelf);
    before.courier.ask(["p1"], planned("old"));
    await vi.advanceTimersByTimeAsync(150_000);
    const reloaded = page(shelf, "c1");
    reloaded.courier.ask(["p1"], planned("new"));
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.keys).toEqual([before.keys[0]]);
    expect(reloaded.terms).toEqual([planned("old")]);
  });

  it("goes on with the newer preview where the older request was never taken", async () => {
    const shelf = memoryShelf();
    const before = page(shelf);
    before.courier.ask(["p1"], planned("old"));
    await vi.advanceTimersByTimeAsync(150_000);
    const changed = new Problem(409, "plan-changed", "Look again.");
    const reloaded = page(shelf, changed, changed);
    reloaded.courier.ask(["p1"], planned("new"));
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.terms).toEqual([planned("old"), planned("new")]);
    expect(new Set(reloaded.keys).size).toBe(2);
    // The newer one is refused as well: that is for the person to see.
    expect(reloaded.steps.at(-1)).toEqual({ kind: "close-refused", id: "p1", detail: "Look again." });
  });

  it("that asks for something else is another one, with a key of its own", async () => {
    const shelf = memoryShelf();
    const before = page(shelf);
    before.courier.ask(["p1"], WHOLE);
    await vi.advanceTimersByTimeAsync(150_000);
    const reloaded = page(shelf, "c1");
    reloaded.courier.ask(["p1"], { ...WHOLE, fraction: "0.5" });
    await vi.advanceTimersByTimeAsync(10);
    expect(reloaded.keys[0]).not.toBe(before.keys[0]);
  });

  it("of a page that knew no terms yet is taken up as the whole", () => {
    const shelf = memoryShelf();
    shelf.setItem("positiond.intents.u1", JSON.stringify({ p1: { key: "k", askedAt: NOW }, p2: { key: 7 } }));
    expect(new Intents(new Storage(() => shelf), "u1").all()).toEqual([{ positionIds: ["p1"], key: "k", askedAt: NOW, terms: WHOLE }]);
  });

  it("forgets its key when the daemon does, after a day", () => {
    const shelf = memoryShelf();
    const intents = new Intents(new Storage(() => shelf), "u1");
    const { key } = intents.confirm(["p1"], WHOLE);
    vi.setSystemTime(NOW + 25 * 3_600_000);
    expect(intents.confirm(["p1"], WHOLE).key).not.toBe(key);
  });
});

describe("storage", () => {
  it("lasts as long as the page where the browser forbids it, and takes rubbish for nothing", () => {
    const forbidden = new Storage(() => {
      throw new DOMException("denied", "SecurityError");
    });
    forbidden.write("k", { a: 1 });
    expect(forbidden.read("k")).toEqual({ a: 1 });
    expect(forbidden.read("other")).toBeNull();
    const shelf = memoryShelf();
    shelf.setItem("k", "{broken");
    expect(new Storage(() => shelf).read("k")).toBeNull();
  });
});
