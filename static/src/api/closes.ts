import type { ClosePlan, CloseTerms, PlannedLeg, RestingOrder } from "../model/closePlan";
import type { Side } from "../model/position";
import type { ResolveAction } from "../model/resolving";
import { decimal, DecodeError, decimalOrNull, list, object, oneOf, text, textOrNull, type Json } from "./decode";
import { bodyOf, request } from "./request";
import { closeReport } from "./wire";

const SIDES: readonly Side[] = ["Buy", "Sell"];
const ACTIONS: readonly ResolveAction[] = ["accept", "rebase", "mark_closed"];

/** Asks for the close of one position, or of several together; each one's close id. */
export async function postClose(
  positionIds: readonly string[],
  key: string,
  terms: CloseTerms,
): Promise<ReadonlyMap<string, string>> {
  const [first, ...others] = positionIds;
  const isAlone = first !== undefined && others.length === 0;
  const path = isAlone ? `/api/positions/${encodeURIComponent(first)}/close` : "/api/positions/close";
  const body = isAlone ? wireTerms(terms) : { position_ids: positionIds, ...wireTerms(terms) };
  const answer = object(
    await bodyOf(await request("POST", path, { body, headers: { "Idempotency-Key": key } })),
    "answer",
  );
  const closes = isAlone ? [answer] : list(answer, "closes").map((each) => object(each, "close"));
  const ids = new Map(closes.map((each) => [text(each, "position_id"), text(each, "close_id")]));
  if (positionIds.some((id) => !ids.has(id))) throw new DecodeError("closes", "one of each position");
  return ids;
}

/** Where a close stands, for when the stream has not told. */
export async function fetchClose(closeId: string) {
  return closeReport(await bodyOf(await request("GET", `/api/closes/${encodeURIComponent(closeId)}`)));
}

export function closePlan(value: unknown): ClosePlan {
  const from = object(value, "plan");
  return {
    planId: text(from, "plan_id"),
    expiresAt: text(from, "expires_at"),
    fraction: decimalOrNull(from, "fraction"),
    legs: list(from, "legs").map(plannedLeg),
  };
}

/** Only what is said: a field that is left out keeps the daemon's own way. */
function wireTerms({ fraction, slippage, cancelResting, expectedPlan }: CloseTerms): Json {
  return {
    ...(fraction === null ? {} : { fraction }),
    ...(slippage === null ? {} : { slippage }),
    ...(cancelResting ? { cancel_resting: true } : {}),
    ...(expectedPlan === null ? {} : { expected_plan: expectedPlan }),
  };
}

function plannedLeg(value: unknown): PlannedLeg {
  const from = object(value, "planned leg");
  return {
    componentId: text(from, "component_id"),
    quantity: decimal(from, "quantity"),
    shortfall: decimal(from, "shortfall"),
    dust: decimal(from, "dust"),
    price: decimalOrNull(from, "estimated_price"),
    fee: decimalOrNull(from, "estimated_fee"),
    feeCoin: textOrNull(from, "fee_coin"),
    blockers: list(from, "blockers").map((item) => {
      const blocker = object(item, "blocker");
      const resolve = ACTIONS.filter((action) => list(blocker, "resolve").includes(action));
      return { code: text(blocker, "code"), detail: text(blocker, "detail"), resolve };
    }),
    resting: list(from, "resting_orders").map(restingOrder),
  };
}

function restingOrder(value: unknown): RestingOrder {
  const from = object(value, "resting order");
  return {
    orderId: text(from, "order_id"),
    side: oneOf(from, "side", SIDES),
    quantity: decimal(from, "quantity"),
    price: decimalOrNull(from, "price"),
    type: text(from, "type"),
  };
}
