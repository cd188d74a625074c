import type { Holdings, LegDraft } from "../model/adopting";
import type { ClosePlan } from "../model/closePlan";
import type { Past, PnlPoint } from "../model/evidence";
import type { ResolveAction } from "../model/resolving";
import { closePlan } from "./closes";
import { holdings, past, pnlPoints } from "./evidence";
import { bodyOf, request } from "./request";

export interface Labels {
  readonly name: string;
  readonly note: string;
  readonly tags: readonly string[];
}

export interface Recording {
  readonly accountId: string;
  readonly name: string;
  /** Sent again under the same id, the same position comes back instead of a second one. */
  readonly externalId: string;
  readonly legs: readonly LegDraft[];
}

/** What a person asks and changes of positions and closes; their live state comes by the stream. */
export interface Ledger {
  readonly past: (positionId: string) => Promise<Past>;
  readonly pnl: (positionId: string) => Promise<readonly PnlPoint[]>;
  readonly resolve: (positionId: string, action: ResolveAction, legId: string) => Promise<void>;
  readonly edit: (positionId: string, labels: Labels) => Promise<void>;
  readonly recheck: (accountId: string) => Promise<void>;
  readonly holdings: (accountId: string) => Promise<Holdings>;
  readonly record: (recording: Recording) => Promise<void>;
  readonly closePlan: (positionId: string, fraction: string | null) => Promise<ClosePlan>;
  /** Has a close that waits look again now. */
  readonly recheckClose: (closeId: string) => Promise<void>;
  readonly cancelClose: (closeId: string) => Promise<void>;
}

/** The daemon's. Every call throws Problem for a refusal and Unanswered for silence. */
export const LEDGER: Ledger = {
  past: async (id) => past(await answer("GET", `/api/positions/${part(id)}`)),
  pnl: async (id) => pnlPoints(await answer("GET", `/api/positions/${part(id)}/pnl`)),
  resolve: async (id, action, legId) => {
    await request("POST", `/api/positions/${part(id)}/resolve`, { body: { action, component_id: legId } });
  },
  edit: async (id, labels) => {
    await request("PATCH", `/api/positions/${part(id)}`, { body: labels });
  },
  recheck: async (accountId) => {
    await request("POST", `/api/accounts/${part(accountId)}/reconcile`, { body: {} });
  },
  holdings: async (accountId) => holdings(await answer("GET", `/api/accounts/${part(accountId)}/holdings`)),
  closePlan: async (id, fraction) => {
    const query = fraction === null ? "" : `?fraction=${part(fraction)}`;
    return closePlan(await answer("GET", `/api/positions/${part(id)}/close-plan${query}`));
  },
  recheckClose: async (closeId) => {
    await request("POST", `/api/closes/${part(closeId)}/recheck`, { body: {} });
  },
  cancelClose: async (closeId) => {
    await request("DELETE", `/api/closes/${part(closeId)}`);
  },
  record: async ({ accountId, name, externalId, legs }) => {
    const components = legs.map(({ category, symbol, side, quantity, entryPrice }) => ({
      category,
      symbol,
      side,
      quantity,
      entry_price: entryPrice,
    }));
    await request("POST", "/api/positions", { body: { account_id: accountId, name, external_id: externalId, components } });
  },
};

async function answer(method: string, path: string): Promise<unknown> {
  return bodyOf(await request(method, path));
}

function part(id: string): string {
  return encodeURIComponent(id);
}
