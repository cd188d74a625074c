import { problemFrom, Unanswered } from "./problem";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Ask {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const DEADLINE_MS = 15_000;

/** One request to the daemon; throws Problem for a refusal and Unanswered for silence. */
export async function request(
  method: string,
  path: string,
  ask: Ask = {},
  send: Fetch = (url, init) => fetch(url, init),
): Promise<Response> {
  const response = await answered(() => send(path, initOf(method, ask)));
  if (!response.ok) throw await problemFrom(response);
  return response;
}

/** The body of an answer as JSON; a body that cannot be read counts as no answer. */
export async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw new Unanswered("The daemon's answer could not be read.");
  }
}

async function answered(send: () => Promise<Response>): Promise<Response> {
  try {
    return await send();
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    throw new Unanswered(isLate ? "The daemon did not answer in time." : "The daemon cannot be reached.");
  }
}

function initOf(method: string, { body, headers }: Ask): RequestInit {
  const init: RequestInit = {
    method,
    credentials: "same-origin",
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    signal: AbortSignal.timeout(DEADLINE_MS),
  };
  if (body !== undefined) init.body = JSON.stringify(body);
  return init;
}
