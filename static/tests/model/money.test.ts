import { describe, expect, it } from "vitest";
import { formatAmount, formatMoney, formatNumber, formatSigned } from "../../src/model/money";

describe("money as text", () => {
  it.each([
    ["1234.565", "USDT", "positive", "+1,234.56", "USDT"],
    ["1234.575", "USDT", "positive", "+1,234.58", "USDT"],
    ["-87.1249", "USDT", "negative", "−87.12", "USDT"],
    ["0", "USDT", "zero", "0.00", "USDT"],
    ["-0.000", "USDC", "zero", "0.00", "USDC"],
    ["-2041.5", "USD", "negative", "−$2,041.50", ""],
    ["12", "USD", "positive", "+$12.00", ""],
    ["0.00341277", "BTC", "positive", "+0.00341277", "BTC"],
    ["12345678901234567890.12", "USDT", "positive", "+12,345,678,901,234,567,890.12", "USDT"],
  ] as const)("shows %s %s as %s %s %s", (raw, currency, sign, amount, unit) => {
    expect(formatMoney(raw, currency)).toEqual({ sign, amount, unit, raw: `${raw} ${currency}` });
  });

  it("keeps the sign of an amount that rounds to nothing", () => {
    expect(formatMoney("-0.004", "USDT")).toMatchObject({ sign: "negative", amount: "−0.00" });
    expect(formatMoney("0.004", "USDT")).toMatchObject({ sign: "positive", amount: "+0.00" });
  });

  it("shows quantities with every digit that counts and no other", () => {
    expect(formatNumber("0.50000")).toBe("0.5");
    expect(formatNumber("12000.000")).toBe("12,000");
    expect(formatNumber("-1.20")).toBe("−1.2");
    expect(formatSigned("-0.40")).toBe("−0.4");
    expect(formatSigned("0.1")).toBe("+0.1");
    expect(formatSigned("0.0")).toBe("0");
  });
});

it.each([["27.868225", "USDT", "27.87 USDT"], ["0", "USDC", "0.00 USDC"], ["0.000012", "BTC", "0.00001200 BTC"], ["1.5", "USD", "$1.50"], ["1", "", "1.00000000"]])(
  "a fee of %s %s reads %s",
  (raw, coin, words) => {
    expect(formatAmount(raw, coin)).toBe(words);
  },
);
