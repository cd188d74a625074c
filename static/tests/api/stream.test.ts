import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveStream, type Source } from "../../src/api/stream";
import { wirePosition } from "../builders";

class FakeSource implements Source {
  readyState = 0;
  isClosed = false;
  readonly #listeners = new Map<string, (event: MessageEvent<string>) => void>();

  addEventListener(kind: string, listener: (event: MessageEvent<string>) => void): void {
    this.#listeners.set(kind, listener);
  }

  close(): void {
    this.isClosed = true;
  }

  say(kind: string, data: unknown = null): void {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    this.#listeners.get(kind)?.({ data: text } as MessageEvent<string>);
  }
}

function listening() {
  const sources: FakeSource[] = [];
  const heard: string[] = [];
  const stream = new LiveStream(
    {
      onFrame: (frame) => heard.push(frame.kind),
      onOpen: () => heard.push("open"),
      onLost: () => heard.push("lost"),
      onBroken: (detail) => heard.push(`broken: ${detail}`),
      onRefused: () => heard.push("refused"),
    },
    () => {
      const source = new FakeSource();
      sources.push(source);
      return source;
    },
    () => 1,
  );
  stream.start();
  return { stream, sources, heard };
}

describe("the live stream", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("hands on what it hears", () => {
    const { sources, heard } = listening();
    sources[0]?.say("open");
    sources[0]?.say("snapshot", { seq: 1, positions: [wirePosition()] });
    expect(heard).toEqual(["open", "snapshot"]);
  });

  it("leaves a cut to the browser, which reconnects with the last id", () => {
    const { sources, heard } = listening();
    sources[0]?.say("error");
    vi.advanceTimersByTime(60_000);
    expect(heard).toEqual(["lost"]);
    expect(sources).toHaveLength(1);
  });

  it("opens anew after a refusal, with growing pauses", () => {
    const { sources, heard } = listening();
    const refuse = (source: FakeSource | undefined) => {
      if (source === undefined) return;
      source.readyState = 2;
      source.say("error");
    };
    refuse(sources[0]);
    expect(heard).toEqual(["lost", "refused"]);
    vi.advanceTimersByTime(500);
    expect(sources).toHaveLength(2);
    refuse(sources[1]);
    vi.advanceTimersByTime(500);
    expect(sources).toHaveLength(2);
    vi.advanceTimersByTime(500);
    expect(sources).toHaveLength(3);
  });

  it("says that it could not read a frame, and asks for a new snapshot", () => {
    const { sources, heard } = listening();
    sources[0]?.say("positions", { seq: 1 });
    expect(heard[0]).toMatch(/^broken: .*changes should be a list/);
    expect(sources[0]?.isClosed).toBe(true);
    vi.advanceTimersByTime(500);
    expect(sources).toHaveLength(2);
  });

  it("hears nothing more of a source that it has left", () => {
    const { stream, sources, heard } = listening();
    stream.reopen();
    sources[0]?.say("snapshot", { seq: 1, positions: [] });
    expect(heard).toEqual([]);
    stream.stop();
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(1);
  });
});
