import { describe, expect, it } from "vitest";
import { Problem, Unanswered } from "../../src/api/problem";
import { request, type Fetch } from "../../src/api/request";

const answering = (status: number, body: string, type = "application/problem+json"): Fetch => () =>
  Promise.resolve(new Response(body, { status, headers: { "Content-Type": type } }));
const refused = (send: Fetch) => request("POST", "/api/x", {}, send).catch((error: unknown) => error);

describe("a refused request", () => {
  it("tells the problem's detail and code", async () => {
    const problem = await refused(answering(409, JSON.stringify({ code: "already-closed", title: "Conflict", detail: "It is closed already." })));
    expect(problem).toBeInstanceOf(Problem);
    expect(problem).toMatchObject({ status: 409, code: "already-closed", detail: "It is closed already." });
  });

  it("falls back to the title, and then to the status in words", async () => {
    expect(await refused(answering(422, JSON.stringify({ title: "Invalid input" })))).toMatchObject({ detail: "Invalid input" });
    expect(await refused(answering(502, "<html>Bad gateway</html>", "text/html"))).toMatchObject({
      code: "",
      detail: "The daemon failed to answer (HTTP 502).",
    });
    expect(await refused(answering(400, "[1]"))).toMatchObject({ detail: "The daemon refused the request (HTTP 400)." });
  });

  it("is told apart from one that nobody answered", async () => {
    const silence = await refused(() => Promise.reject(new TypeError("failed to fetch")));
    expect(silence).toBeInstanceOf(Unanswered);
    const late = await refused(() => Promise.reject(new DOMException("timeout", "TimeoutError")));
    expect(late).toMatchObject({ detail: "The daemon did not answer in time." });
  });

  it("is sent as JSON, with its headers", async () => {
    const sent: RequestInit[] = [];
    await request("POST", "/api/x", { body: {}, headers: { "Idempotency-Key": "k" } }, (_, init) => {
      sent.push(init);
      return Promise.resolve(new Response(null, { status: 204 }));
    });
    expect(sent[0]).toMatchObject({ method: "POST", body: "{}", headers: { "Content-Type": "application/json", "Idempotency-Key": "k" } });
  });
});
