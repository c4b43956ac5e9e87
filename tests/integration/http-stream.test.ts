import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { sessionWrapper } from "../fixtures/session-wrapper.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import { eventually, frameOf, idleSlots, startLoaderOf, type TestLoader } from "./websocket-client.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const echo = `
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text, attributes: { format: { type: string, default: json } } } }
parameters: { delayMs: { type: integer }, failWith: { type: string } }
`;
/** Counts to the number in its first chunk, or fails on its way there; what it gives for one chunk is many results. */
const counter = sessionWrapper(
  String.raw`int(words[0]), lambda n: None if words[2:] == [str(n)] else b'{"n":\n%d}' % n, float(words[1])`,
);

let loader: TestLoader;
let gateway: ServiceProcess;
let url: string;
const lines: LogLine[] = [];

beforeAll(async () => {
  const streams = "once: false\nstream: true\n";
  loader = await startLoaderOf(
    {
      single: `id: single\n${echo}\nonce: true\nstream: false\n`,
      both: `id: both\n${echo}\nonce: true\nstream: true\n`,
      counter: `id: counter\nengine: { kind: python, threads: 2 }\ninputs: { text: { type: text } }\noutputs: { result: { type: text, attributes: { format: { type: string, default: json } } } }\n${streams}`,
    },
    async (folder) => void (await Bun.write(join(folder, "counter/wrapper.py"), counter)),
  );
  gateway = await startGateway(
    ["single", "both", "counter"].map((id) => ({ id, endpoints: [urlOf(loader.loader)] })),
    { sessions: { keepAliveMs: 300, slowReaderTimeoutMs: 500 } },
    (line) => {
      if (line.msg === "session" || line.msg === "request") lines.push(line);
    },
  );
  url = urlOf(gateway);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const sse = "text/event-stream";
const jsonl = "application/x-ndjson";

function ask(service: string, frame: object, accept: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/private/${service}`, {
    method: "POST",
    headers: { "content-type": "application/json", accept },
    body: JSON.stringify(frame),
    ...(signal === undefined ? {} : { signal }),
  });
}

const count = (words: string) => frameOf(words, 3, {}, "text");

/** What a stream says, each event or line with its JSON parsed. */
async function read(answer: Response): Promise<{ readonly event: string; readonly data: Frame }[]> {
  const text = await answer.text();
  if (answer.headers.get("content-type") === jsonl) {
    const texts = text.split("\n").filter((line) => line !== "");
    return texts.map((line) => ({ event: "message", data: JSON.parse(line) }));
  }
  expect(text).toEndWith("\n\n");
  const events = text
    .slice(0, -2)
    .split("\n\n")
    .filter((event) => !event.startsWith(":"));
  return events.map((event) => {
    const [, name = "message", data = ""] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(event) ?? [];
    return { event: name, data: JSON.parse(data) };
  });
}

interface Frame {
  readonly header: { readonly code: number; readonly message: string; readonly sid: string; readonly status: number };
  readonly payload?: { readonly [name: string]: { readonly text: unknown } };
}

describe("a request that takes its results as they come", () => {
  for (const accept of [sse, jsonl, "application/jsonl, */*"]) {
    test(`gets each as one ${accept === sse ? "event" : "line"} with Accept: ${accept}`, async () => {
      const answer = await ask("counter", count("4 0"), accept);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe(accept === sse ? sse : jsonl);
      const events = await read(answer);
      expect(events.map(({ event, data }) => [event, data.header.status, data.payload?.result?.text])).toEqual([
        ["message", 0, { n: 0 }],
        ["message", 1, { n: 1 }],
        ["message", 1, { n: 2 }],
        ["message", 2, { n: 3 }],
      ]);
      expect(new Set(events.map(({ data }) => data.header.sid))).toEqual(
        new Set([answer.headers.get("athena-sid") ?? ""]),
      );
    });
  }

  test("gets them when they are there, with signs of life between", async () => {
    const started = performance.now();
    const answer = await ask("counter", count("2 1"), sse);
    const times: number[] = [];
    let text = "";
    for await (const chunk of answer.body ?? []) {
      text += new TextDecoder().decode(chunk);
      times.push(performance.now() - started);
    }
    expect(times[0]).toBeLessThan(900);
    expect(text).toContain("\n\n: keep-alive\n\n");
  });

  test("gets one answer of a service for once-calls, and chunks become a session where a service has both", async () => {
    for (const [service, status] of [
      ["single", 3],
      ["both", 2],
    ] as const) {
      const events = await read(await ask(service, frameOf("[7]", 3), sse));
      expect(events.map(({ data }) => [data.header.status, data.payload?.data?.text])).toEqual([[status, [7]]]);
    }
  });

  test("is logged and counted once, as a session", async () => {
    const answer = await ask("counter", count("3 0"), sse);
    await answer.text();
    const sid = answer.headers.get("athena-sid");
    expect(await eventually(() => lines.some((line) => line.sid === sid))).toBe(true);
    expect(lines.filter((line) => line.sid === sid)).toMatchObject([
      { msg: "session", protocol: "sse", service: "counter", outcome: "OK", framesIn: 1, framesOut: 3 },
    ]);
  });
});

describe("an error", () => {
  test("before the first result is an answer with its own status", async () => {
    for (const [service, frame, status, code] of [
      ["counter", frameOf("x", 3), 400, 10163],
      ["counter", count("1 0 0"), 500, 10909],
      ["nobody", count("1 0"), 404, 10404],
    ] as const) {
      const answer = await ask(service, frame, sse);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "application/json"]);
      expect(((await answer.json()) as Frame).header.code).toBe(code);
    }
    const get = await fetch(`${url}/counter`, { headers: { accept: sse } });
    expect(get.status).toBe(405);
  });

  test("after it is the stream's last word", async () => {
    for (const accept of [sse, jsonl]) {
      const events = await read(await ask("counter", count("9 0 2"), accept));
      expect(events).toHaveLength(3);
      expect(events[2]?.event).toBe(accept === sse ? "error" : "message");
      const { code, message } = events[2]?.data.header ?? {};
      expect([code, message]).toEqual([10909, "the wrapper broke"]);
    }
  });
});

describe("a client of a stream", () => {
  test("that hangs up ends the engine's work", async () => {
    const hangUp = new AbortController();
    const answer = await ask("both", { ...frameOf("[1]", 3), parameter: { both: { delayMs: 0 } } }, sse);
    await answer.text();
    const pending = ask("both", { ...frameOf("[1]", 3), parameter: { both: { delayMs: 30_000 } } }, sse, hangUp.signal);
    expect(await eventually(async () => (await idleSlots(loader.loader, "both")) === 255)).toBe(true);
    hangUp.abort();
    await pending.catch(() => {});
    expect(await eventually(async () => (await idleSlots(loader.loader, "both")) === 256, 1000)).toBe(true);
  });

  test("asks for one answer as before with any other Accept", async () => {
    const answer = await post(`${url}/single`, frameOf("[7]", 3), { accept: "application/json, text/plain, */*" });
    expect(answer.body.payload?.data?.text).toEqual([7]);
  });

  test("may be Python's requests", async () => {
    const script = join(import.meta.dir, "../interop/read_events.py");
    const run = Bun.spawn([python, script, `${url}/v1/private/counter`, "3 0.05"], { stdout: "pipe", stderr: "pipe" });
    const [out, problems] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
    expect([await run.exited, problems]).toEqual([0, ""]);
    expect(out.trim().split("\n")).toEqual(["0 {'n': 0}", "1 {'n': 1}", "2 {'n': 2}"]);
  });
});
