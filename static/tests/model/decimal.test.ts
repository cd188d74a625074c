import { describe, expect, it } from "vitest";
import {
  absolute,
  add,
  compareDecimals,
  groupedMagnitude,
  multiply,
  parseDecimal,
  roundHalfEven,
  signOf,
  subtract,
  toText,
  type Decimal,
} from "../../src/model/decimal";
import { seeded } from "../builders";

const rounded = (text: string, places: number) => toText(roundHalfEven(parseDecimal(text), places));

function randomDecimal(random: () => number): Decimal {
  const digits = Array.from({ length: 1 + Math.floor(random() * 24) }, () => Math.floor(random() * 10));
  const units = BigInt(digits.join("")) * (random() < 0.5 ? -1n : 1n);
  return { units, scale: Math.floor(random() * 14) };
}

describe("exact decimals", () => {
  it.each([
    ["0.125", 2, "0.12"],
    ["0.135", 2, "0.14"],
    ["-0.125", 2, "-0.12"],
    ["-0.135", 2, "-0.14"],
    ["2.5", 0, "2"],
    ["3.5", 0, "4"],
    ["0.12500000000000000000001", 2, "0.13"],
    ["1.005", 2, "1.00"],
    ["9.995", 2, "10.00"],
    ["7", 2, "7.00"],
  ])("rounds %s half-even to %i places as %s", (text, places, wanted) => {
    expect(rounded(text, places)).toBe(wanted);
  });

  it("never rounds by more than half a unit, and breaks a tie to the even digit", () => {
    const random = seeded(1);
    for (let trial = 0; trial < 2_000; trial += 1) {
      const exact = randomDecimal(random);
      const places = Math.floor(random() * 6);
      const result = roundHalfEven(exact, places);
      const twiceOff = multiply(absolute(subtract(exact, result)), parseDecimal("2"));
      const verdict = compareDecimals(twiceOff, { units: 1n, scale: places });
      expect(verdict).toBeLessThanOrEqual(0);
      if (verdict === 0) expect(result.units % 2n).toBe(0n);
    }
  });

  it("prints what it reads, digit for digit", () => {
    const random = seeded(2);
    for (let trial = 0; trial < 1_000; trial += 1) {
      const exact = randomDecimal(random);
      expect(parseDecimal(toText(exact))).toEqual(exact);
    }
  });

  it("adds and compares across scales without losing a digit", () => {
    expect(toText(add(parseDecimal("0.1"), parseDecimal("0.2")))).toBe("0.3");
    expect(toText(add(parseDecimal("9007199254740993"), parseDecimal("0.00000001")))).toBe(
      "9007199254740993.00000001",
    );
    expect(compareDecimals(parseDecimal("1.10"), parseDecimal("1.1"))).toBe(0);
    expect(compareDecimals(parseDecimal("-0.4"), parseDecimal("-0.39"))).toBe(-1);
  });

  it.each(["", ".", "-", "1,5", "abc", "1e9999", "NaN", "Infinity", " 1", "0x1"])(
    "refuses %j as a number",
    (text) => {
      expect(() => parseDecimal(text)).toThrow(RangeError);
    },
  );

  it("reads the exponents that Python prints", () => {
    expect(toText(parseDecimal("1E-8"))).toBe("0.00000001");
    expect(toText(parseDecimal("-2.5E+3"))).toBe("-2500");
  });

  it.each([
    ["999", "999"],
    ["1000", "1,000"],
    ["-1234567.891", "1,234,567.891"],
    ["0.0001234", "0.0001234"],
  ])("groups %s as %s", (text, wanted) => {
    expect(groupedMagnitude(parseDecimal(text))).toBe(wanted);
  });

  it("has no negative zero", () => {
    expect(signOf(parseDecimal("-0.000"))).toBe(0);
    expect(toText(parseDecimal("-0.00"))).toBe("0.00");
  });
});
