import { list, object, text } from "./decode";
import { Problem } from "./problem";
import { bodyOf, request } from "./request";

export interface Session {
  readonly userId: string;
  readonly username: string;
  /** The daemon's clock less ours, in ms: ages are told by the daemon's. */
  readonly clockOffset: number;
}

/** Who is signed in, or null for nobody. */
export async function whoAmI(): Promise<Session | null> {
  try {
    const response = await request("GET", "/api/session");
    const user = object(object(await bodyOf(response), "session")["user"], "user");
    const sentAt = Date.parse(response.headers.get("Date") ?? "");
    return {
      userId: text(user, "id"),
      username: text(user, "username"),
      clockOffset: Number.isNaN(sentAt) ? 0 : offsetFrom(sentAt),
    };
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export async function signIn(username: string, password: string): Promise<void> {
  await request("POST", "/api/session", { body: { username, password } });
}

export async function signOut(): Promise<void> {
  await request("DELETE", "/api/session");
}

/** The labels of the user's accounts, by id; none where the daemon has no such list. */
export async function accountLabels(): Promise<ReadonlyMap<string, string>> {
  const response = await request("GET", "/api/accounts").catch(noneWhereAbsent);
  if (response === null) return new Map();
  const body = object(await bodyOf(response), "accounts");
  const accounts = list(body, "accounts").map((item) => object(item, "account"));
  return new Map(accounts.map((account) => [text(account, "id"), text(account, "label")]));
}

function noneWhereAbsent(error: unknown): null {
  if (error instanceof Problem && error.status === 404) return null;
  throw error;
}

/** The Date header counts whole seconds: a smaller difference is not one. */
function offsetFrom(sentAt: number): number {
  const offset = sentAt - Date.now();
  return Math.abs(offset) < 2_000 ? 0 : offset;
}
