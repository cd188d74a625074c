import { describe, expect, it } from "vitest";
import { entryWords, kindWords, resolutionWords } from "../../src/model/words";

const entry = (kind: string, data: Record<string, unknown> = {}) => ({ id: 1, at: "2026-03-01T12:00:00Z", kind, actor: null, data });

describe("a line of the journal", () => {
  it.each([
    [entry("in-sync"), "In sync"],
    [entry("deviation-seen", { symbol: "ETHUSDT", expected: "-7", actual: "-8.0", difference: "-1", cause: "By hand." }), "Deviation seen: ETHUSDT · −7 expected, −8 held · By hand."],
    [entry("deviation-seen", { cause: { kind: "adl", text: "By ADL." } }), "Deviation seen: By ADL."],
    [
      entry("resolved", {
        action: "mark_closed",
        components: [{ component_id: "l1", before: "0.50", after: "0" }, { component_id: "l9", before: "1", after: "0" }],
        unassigned: [{ symbol: "ETHUSDT", before: "0", after: "-0.4" }],
      }),
      "Resolved: mark closed · BTCUSDT 0.5 → 0 · a leg 1 → 0 · unassigned ETHUSDT 0 → −0.4",
    ],
    [entry("close-failed", { detail: "Netted." }), "Close failed: Netted."],
    [entry("resolved", { components: [7, { before: 1, after: "x" }], unassigned: "no list" }), "Resolved"],
    [entry("from-another-version", { expected: "a lot", actual: "1", symbol: 7, cause: null }), "From another version"],
  ])("%o", (given, wanted) => {
    expect(entryWords(given, (id) => (id === "l1" ? "BTCUSDT" : null))).toBe(wanted);
  });
});

it("words that this page does not know stay readable", () => {
  expect([kindWords("missing"), kindWords("brand-new")]).toEqual(["Less than recorded", "brand new"]);
  expect([resolutionWords(null), resolutionWords("rebase"), resolutionWords("some_day")]).toEqual(["gone again", "leg rebased", "some day"]);
});
