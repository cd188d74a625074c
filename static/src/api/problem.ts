/** The daemon's answer was no: RFC 9457 problem+json, or whatever stood in its place. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** Stable, for example `already-closed`; empty where the answer carried none. */
    readonly code: string,
    /** One sentence for a person. */
    readonly detail: string,
  ) {
    super(detail);
    this.name = "Problem";
  }
}

/** No answer came: whether the daemon did what was asked is unknown. */
export class Unanswered extends Error {
  constructor(readonly detail: string) {
    super(detail);
    this.name = "Unanswered";
  }
}

/** Reads a failed response; a body that is no problem+json still gives a sentence. */
export async function problemFrom(response: Response): Promise<Problem> {
  const body = await readObject(response);
  const detail = text(body["detail"]) ?? text(body["title"]) ?? plainWords(response.status);
  return new Problem(response.status, text(body["code"]) ?? "", detail);
}

/** What to show a person of any failure. */
export function detailOf(error: unknown): string {
  if (error instanceof Problem || error instanceof Unanswered) return error.detail;
  return error instanceof Error ? error.message : String(error);
}

async function readObject(response: Response): Promise<Record<string, unknown>> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? { ...body } : {};
  } catch {
    // A proxy's HTML page or a cut body: the status line is all there is to tell.
    return {};
  }
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function plainWords(status: number): string {
  if (status === 401) return "You are not signed in.";
  if (status === 429) return "Too many requests; wait a moment.";
  return status >= 500
    ? `The daemon failed to answer (HTTP ${status}).`
    : `The daemon refused the request (HTTP ${status}).`;
}
