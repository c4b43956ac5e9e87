import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";

let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)], timeoutMs: 1500 }]);
  url = `${urlOf(gateway)}/v1/private/echo`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

interface Case {
  readonly name: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly status: number;
  readonly code: number;
  readonly message: string | RegExp;
}

const good = { header: { app_id: "1" }, payload: { data: { text: "aGk=" } } };

const cases: readonly Case[] = [
  { name: "broken JSON", body: '{"header":', status: 400, code: 10163, message: /JSON/ },
  { name: "an empty body", body: "", status: 400, code: 10163, message: /empty/ },
  { name: "a body that is not an object", body: "[1]", status: 400, code: 10163, message: /object/ },
  {
    name: "wrong base64",
    body: { ...good, payload: { data: { text: "a$b" } } },
    status: 400,
    code: 10163,
    message: "$.payload.data.text",
  },
  { name: "an unknown service", body: good, path: "/nobody", status: 404, code: 10404, message: "'nobody'" },
  {
    name: "a body of 20 MB",
    body: new Blob([" ".repeat(20_000_000)]),
    status: 413,
    code: 10163,
    message: "16777216 bytes",
  },
  { name: "an empty object", body: {}, status: 400, code: 10163, message: "$.payload.data" },
  { name: "a missing app_id", body: { ...good, header: { uid: "u" } }, status: 400, code: 10313, message: "app_id" },
  { name: "a null app_id", body: { ...good, header: { app_id: null } }, status: 400, code: 10313, message: "app_id" },
  {
    name: "a parameter of the wrong type",
    body: { ...good, parameter: { echo: { delayMs: "soon" } } },
    status: 400,
    code: 10163,
    message: "$.parameter.echo.delayMs",
  },
  {
    name: "data of the wrong type",
    body: { ...good, payload: { data: { text: 5 } } },
    status: 400,
    code: 10163,
    message: "$.payload.data.text",
  },
  {
    name: "an unknown parameter",
    body: { ...good, parameter: { echo: { colour: "red" } } },
    status: 400,
    code: 10163,
    message: "$.parameter.echo.colour",
  },
  {
    name: "an unknown input",
    body: { ...good, payload: { ...good.payload, more: { text: "aGk=" } } },
    status: 400,
    code: 10163,
    message: "$.payload.more",
  },
  {
    name: "an unknown top-level key",
    body: { ...good, extra: 1 },
    status: 400,
    code: 10163,
    message: "$.extra",
  },
  {
    name: "a content type that is not JSON",
    body: good,
    headers: { "content-type": "text/plain" },
    status: 415,
    code: 10163,
    message: "application/json",
  },
  {
    name: "an engine's refusal",
    body: { ...good, parameter: { echo: { failWith: "refusal" } } },
    status: 400,
    code: 10009,
    message: /./,
  },
  {
    name: "an engine's failure",
    body: { ...good, parameter: { echo: { failWith: "error" } } },
    status: 500,
    code: 10909,
    message: /./,
  },
  {
    name: "an answer that takes longer than the deadline",
    body: { ...good, parameter: { echo: { delayMs: 10_000 } } },
    status: 504,
    code: 10102,
    message: /./,
  },
];

describe("the gateway answers", () => {
  for (const { name, body, headers, path, status, code, message } of cases) {
    test(`${name} with ${status} and code ${code}`, async () => {
      const answer = await post(path === undefined ? url : urlOf(gateway) + path, body, headers);
      expect(answer.status).toBe(status);
      expect(answer.body.header.code).toBe(code);
      expect(answer.body.header.message).toMatch(message);
      expect(answer.body.header.sid).toHaveLength(32);
    });
  }

  test("a GET with 405 and the method that it wants", async () => {
    const response = await fetch(url);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });

  test("a body without a declared length as it does any other", async () => {
    const chunks = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(JSON.stringify(echoEnvelope("in pieces"))));
        controller.close();
      },
    });
    const response = await fetch(url, {
      method: "POST",
      body: chunks,
      headers: { "content-type": "application/json" },
    });
    expect(response.status).toBe(200);
  });

  test("a good request afterwards as if nothing had happened", async () => {
    const answer = await post(url, echoEnvelope("still here"));
    expect(answer.status).toBe(200);
    expect(echoedText(answer.body)).toBe("still here");
    expect(answer.body.header).toEqual({ code: 0, message: "success", sid: answer.body.header.sid });
  });
});
